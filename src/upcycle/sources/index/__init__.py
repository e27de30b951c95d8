"""An index of datasets on disk: up to a million cards, searched by words, by meaning and by what others use."""
