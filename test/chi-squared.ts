/** Pearson's statistic of counts that should all be alike. */
export function chiSquared(counts: readonly number[]): number {
    const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length;
    return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

/** What chi-squared with `freedom` degrees exceeds with a probability of 0.001 (Wilson and Hilferty). */
export function limitAt0001(freedom: number): number {
    const spread = 2 / (9 * freedom);
    return freedom * (1 - spread + 3.0902 * Math.sqrt(spread)) ** 3;
}
