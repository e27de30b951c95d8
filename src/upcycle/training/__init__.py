"""Small models trained on a dataset; each `fit` returns something that predicts."""
