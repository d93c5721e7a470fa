/**
 * The candidate that a mistyped word most likely meant: at most two edits away (one for short words), case aside.
 * Undefined when nothing is close enough, so that a message never suggests nonsense.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
    const typed = word.toLowerCase();
    let best: string | undefined;
    let bestDistance = typed.length < 5 ? 2 : 3;
    for (const candidate of candidates) {
        // The length bound keeps a hostile key from costing time.
        if (Math.abs(candidate.length - typed.length) >= bestDistance) {
            continue;
        }
        const distance = editDistance(typed, candidate.toLowerCase());
        if (distance < bestDistance) {
            best = candidate;
            bestDistance = distance;
        }
    }
    return best;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
    let row = Array.from({ length: b.length + 1 }, (_, index) => index);
    for (let i = 1; i <= a.length; i++) {
        const next = [i];
        for (let j = 1; j <= b.length; j++) {
            const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
            next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
        }
        row = next;
    }
    return row[b.length] ?? 0;
}
