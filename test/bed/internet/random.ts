/** A source of numbers in [0, 1), as Math.random is, but repeatable. */
export type Random = () => number;

/** The mulberry32 generator: 32 bits of state are plenty for choosing scenarios, and the same seed tells the same story again. */
export function seeded(seed: number): Random {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), state | 1);
        mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
    };
}

/** A shuffled copy (Fisher-Yates). */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
    const copy = [...items];
    for (let last = copy.length - 1; last > 0; last--) {
        const other = Math.floor(random() * (last + 1));
        [copy[last], copy[other]] = [copy[other] as T, copy[last] as T];
    }
    return copy;
}

/** A number in [0, 1) that depends on the text and the seed alone (FNV-1a, then one turn of the generator). */
export function hashed(text: string, seed: number): number {
    let hash = 0x811c9dc5 ^ seed;
    for (let i = 0; i < text.length; i++) {
        hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    }
    return seeded(hash)();
}
