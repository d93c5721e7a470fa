const MAX_PROVIDERS = 10_000;

/** What a store in memory knows of each provider, made at its first use. Of too many the one that was asked for the longest ago is forgotten. */
export class ByProvider<Memory> {
    private readonly memories = new Map<string, Memory>();

    constructor(private readonly make: () => Memory) {}

    of(provider: string): Memory {
        const known = this.memories.get(provider) ?? this.make();
        // the provider of the longest ago goes first
        this.memories.delete(provider);
        this.memories.set(provider, known);
        const [oldest] = this.memories.keys();
        if (oldest !== undefined && this.memories.size > MAX_PROVIDERS) {
            this.memories.delete(oldest);
        }
        return known;
    }

    /** Makes none, and counts as no use. */
    find(provider: string): Memory | undefined {
        return this.memories.get(provider);
    }

    [Symbol.iterator](): IterableIterator<[string, Memory]> {
        return this.memories.entries();
    }
}
