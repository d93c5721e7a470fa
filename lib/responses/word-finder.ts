/** Finds in one pass over a text which of many words occur in it (Aho and Corasick, 1975). */

import { numberLists, type NumberLists } from './number-lists';

const ASCII = 128;
/**
 * Columns that several characters share: those that no word has, all digits, all beyond ASCII. A useless look at a rule is all
 * that a word costs which is found and is not there, and a narrow table stays near the processor.
 */
const NO_WORD = 0;
const BEYOND_ASCII = 1;
const DIGIT = 2;

/** Words are numbered by their place in the list. */
export class WordFinder {
    /** The numbers of the words of the last text, as many as `read` said. */
    readonly found: Int32Array;
    /** By character: its column. */
    private readonly columns = new Uint8Array(ASCII);
    private readonly width: number;
    /** By node and column: the node that the character leads to. */
    private readonly next: Uint16Array;
    /** Nodes from this one on are ends of words: most characters lead to none of them. */
    private readonly firstEnd: number;
    /** By node: the numbers of the words that end there. */
    private readonly ending: NumberLists;
    private readonly seen: Uint32Array;
    private texts = 0;

    /** @throws RangeError when the words are too many for one table (65,535 nodes) */
    constructor(words: readonly string[]) {
        const known = [...new Set(words.join(''))].filter(char => char.charCodeAt(0) < ASCII && !/\d/.test(char));
        known.forEach((char, index) => (this.columns[char.charCodeAt(0)] = index + DIGIT + 1));
        this.columns.fill(DIGIT, '0'.charCodeAt(0), '9'.charCodeAt(0) + 1);
        this.width = known.length + DIGIT + 1;
        const tree: number[][] = [this.emptyRow()];
        const ends: number[][] = [[]];
        words.forEach((word, number) => {
            let node = 0;
            for (let i = 0; i < word.length; i += 1) {
                const row = tree[node] ?? [];
                const column = this.column(word.charCodeAt(i));
                if (!row[column]) {
                    row[column] = tree.push(this.emptyRow()) - 1;
                    ends.push([]);
                }
                node = row[column] ?? 0;
            }
            ends[node]?.push(number);
        });
        if (tree.length > 0xffff) {
            throw new RangeError(`${tree.length} nodes are too many for a table of words`);
        }
        link(tree, ends);
        const ended = (node: number): readonly number[] => ends[node] ?? [];
        // a stable sort: the root, which ends no word, stays first
        const order = [...tree.keys()].sort((a, b) => Number(ended(a).length > 0) - Number(ended(b).length > 0));
        const place = new Uint16Array(tree.length);
        order.forEach((node, index) => (place[node] = index));
        this.firstEnd = order.filter(node => ended(node).length === 0).length;
        this.next = Uint16Array.from(order.flatMap(node => (tree[node] ?? []).map(child => place[child] ?? 0)));
        this.ending = numberLists(order.map(ended));
        this.found = new Int32Array(words.length);
        this.seen = new Uint32Array(words.length);
    }

    private emptyRow(): number[] {
        return new Array<number>(this.width).fill(0);
    }

    private column(code: number): number {
        return code < ASCII ? (this.columns[code] ?? NO_WORD) : BEYOND_ASCII;
    }

    /** Reads a text; says how many words it has. Until the next text `found` and `hasOneOf` answer for this one. */
    read(text: string): number {
        // counting texts saves clearing the table for each
        this.texts = this.texts >= 0xffff_ffff ? 1 : this.texts + 1;
        const { columns, width, next, firstEnd, ending, seen, texts, found } = this;
        const { first, all } = ending;
        let node = 0;
        let count = 0;
        for (let i = 0; i < text.length; i += 1) {
            const code = text.charCodeAt(i);
            node = next[node * width + (code < ASCII ? (columns[code] ?? NO_WORD) : BEYOND_ASCII)] ?? 0;
            if (node < firstEnd) {
                continue;
            }
            const end = first[node + 1] ?? 0;
            for (let at = first[node] ?? 0; at < end; at += 1) {
                const number = all[at] ?? 0;
                if (seen[number] !== texts) {
                    seen[number] = texts;
                    found[count] = number;
                    count += 1;
                }
            }
        }
        return count;
    }

    /** Is a word of this list, one of `lists`, in the last text? */
    hasOneOf(lists: NumberLists, list: number): boolean {
        const { seen, texts } = this;
        const { first, all } = lists;
        const end = first[list + 1] ?? 0;
        for (let at = first[list] ?? 0; at < end; at += 1) {
            if (seen[all[at] ?? 0] === texts) {
                return true;
            }
        }
        return false;
    }
}

/** Turns a tree of words into an automaton: where no word goes on, the longest end that begins another one does. */
function link(tree: readonly number[][], ends: number[][]): void {
    const fallback = new Array<number>(tree.length).fill(0);
    const queue = [0];
    for (const node of queue) {
        const row = tree[node] ?? [];
        row.forEach((child, column) => {
            const other = node === 0 ? 0 : (tree[fallback[node] ?? 0]?.[column] ?? 0);
            if (child === 0) {
                row[column] = other;
            } else {
                fallback[child] = other;
                ends[child]?.push(...(ends[other] ?? []));
                queue.push(child);
            }
        });
    }
}
