/** Finds in one pass over a text which of many words occur in it (Aho and Corasick, 1975). */

/** Characters beyond these share a column: no word of a rule tells them apart by more than a useless look at a rule. */
const COLUMNS = 128;

function column(code: number): number {
    return code < COLUMNS - 1 ? code : COLUMNS - 1;
}

/** Words are numbered by the caller; several words may have the same number, and one word several numbers. */
export class WordFinder {
    private readonly next: Int32Array;
    /** By node: the numbers of the words that end there. */
    private readonly ends: Int32Array[];
    private readonly seen: Uint32Array;
    private texts = 0;

    constructor(words: readonly (readonly [word: string, number: number])[]) {
        const size = words.reduce((sum, [word]) => sum + word.length, 1);
        const next = new Int32Array(size * COLUMNS).fill(-1);
        const ends: number[][] = [[]];
        for (const [word, number] of words) {
            let node = 0;
            for (let i = 0; i < word.length; i += 1) {
                const edge = node * COLUMNS + column(word.charCodeAt(i));
                if (next[edge] === -1) {
                    next[edge] = ends.push([]) - 1;
                }
                node = next[edge] ?? 0;
            }
            ends[node]?.push(number);
        }
        this.next = next.slice(0, ends.length * COLUMNS);
        this.link(ends);
        this.ends = ends.map(numbers => Int32Array.from(new Set(numbers)));
        this.seen = new Uint32Array(words.reduce((highest, [, number]) => Math.max(highest, number + 1), 0));
    }

    /** Turns the tree of words into an automaton: where no word goes on, the longest end that begins another one does. */
    private link(ends: number[][]): void {
        const { next } = this;
        const fallback = new Int32Array(ends.length);
        const queue = [0];
        for (const node of queue) {
            for (let edge = 0; edge < COLUMNS; edge += 1) {
                const child = next[node * COLUMNS + edge] ?? -1;
                const other = node === 0 ? 0 : (next[(fallback[node] ?? 0) * COLUMNS + edge] ?? 0);
                if (child === -1) {
                    next[node * COLUMNS + edge] = other;
                } else {
                    fallback[child] = other;
                    ends[child]?.push(...(ends[other] ?? []));
                    queue.push(child);
                }
            }
        }
    }

    /** Reads a text; `take` is told once of each number whose word occurs. Until the next text `has` answers for this one. */
    read(text: string, take: (number: number) => void): void {
        // counting texts saves clearing the table for each
        this.texts = this.texts >= 0xffff_ffff ? 1 : this.texts + 1;
        const { next, ends, seen, texts } = this;
        let node = 0;
        for (let i = 0; i < text.length; i += 1) {
            node = next[node * COLUMNS + column(text.charCodeAt(i))] ?? 0;
            const numbers = ends[node] as Int32Array;
            for (let j = 0; j < numbers.length; j += 1) {
                const number = numbers[j] ?? 0;
                if (seen[number] !== texts) {
                    seen[number] = texts;
                    take(number);
                }
            }
        }
    }

    has(number: number): boolean {
        return this.seen[number] === this.texts;
    }
}
