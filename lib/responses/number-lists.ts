/**
 * Lists of numbers in one piece of memory: list `i` is what stands in `all` from `first[i]` to `first[i + 1] - 1`. Some thousand
 * arrays of their own lie far apart, and a reply asks dozens of them.
 */
export interface NumberLists {
    first: Int32Array;
    all: Int32Array;
}

export function numberLists(lists: readonly (readonly number[])[]): NumberLists {
    let sum = 0;
    return { first: Int32Array.from([0, ...lists.map(list => (sum += list.length))]), all: Int32Array.from(lists.flat()) };
}
