/* pairs.mjs - a flat reply of Redis, field after value, as an object. */
export function pairs(flat) {
    const object = {};
    for (let i = 0; i < flat.length; i += 2) object[flat[i]] = flat[i + 1];
    return object;
}
