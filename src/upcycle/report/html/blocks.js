/** The page's data: base64 of zlib of JSON, one inert script element each, decoded when first wanted. */

const decoded = new Map();
const MOST_DECODED = 400; // blocks kept decoded; the least recently used go first

/** The value of a block, by the id of its element. */
export function block(name) {
  const known = decoded.get(name);
  if (known) {
    decoded.delete(name);
    decoded.set(name, known);
    return known;
  }
  const value = decode(document.getElementById(name).textContent);
  decoded.set(name, value);
  if (decoded.size > MOST_DECODED) decoded.delete(decoded.keys().next().value);
  return value;
}

async function decode(text) {
  const bytes = Uint8Array.fromBase64
    ? Uint8Array.fromBase64(text)
    : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}
