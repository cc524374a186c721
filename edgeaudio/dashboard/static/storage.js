// What a browser remembers: for good, or for one tab. It may allow neither, as in a frame of another
// site: then nothing is remembered.

function storage(is_lasting) {
  return is_lasting ? localStorage : sessionStorage;
}

export function remembered(key, is_lasting = true) {
  try {
    return storage(is_lasting).getItem(key);
  } catch {
    return null;
  }
}

// `value`: null forgets.
export function remember(key, value, is_lasting = true) {
  try {
    if (value === null) storage(is_lasting).removeItem(key);
    else storage(is_lasting).setItem(key, value);
  } catch {
    // it is not remembered
  }
}
