/** Does the work for each item, at most `limit` at the same time. Rejects with the first work that does. */
export async function atOnce<T>(limit: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    const waiting = items.values();
    const worker = async () => {
        // the workers share the iterator
        for (const item of waiting) {
            await work(item);
        }
    };
    await Promise.all(Array.from({ length: limit }, worker));
}
