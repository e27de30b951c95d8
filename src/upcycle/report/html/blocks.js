/** The page's data: base64 of zlib of JSON, one inert script element each, decoded when first wanted. */

const decoded = new Map();
const MOST_DECODED = 100; // blocks kept decoded; the least recently used go first

/** The value of a block, by its name. */
export function block(name) {
  const known = decoded.get(name);
  if (known) {
    decoded.delete(name);
    decoded.set(name, known);
    return known;
  }
  const value = unpacked(name).then(JSON.parse);
  decoded.set(name, value);
  if (decoded.size > MOST_DECODED) decoded.delete(decoded.keys().next().value);
  return value;
}

/** The JSON of a block, which is searched much faster than its value. */
export async function unpacked(name) {
  const text = document.getElementById(`data-${name}`).textContent;
  const bytes = Uint8Array.fromBase64
    ? Uint8Array.fromBase64(text)
    : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new DecompressionStream("deflate");
  const writer = stream.writable.getWriter();
  // Failures of these two are the reader's as well, which reports them.
  writer.write(bytes).catch(() => {});
  writer.close().catch(() => {});
  const reader = stream.readable.getReader(), decoder = new TextDecoder();
  let json = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) json += decoder.decode(part.value, { stream: true });
  return json + decoder.decode();
}
