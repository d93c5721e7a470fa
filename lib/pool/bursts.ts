/** Which address the next deliveries to a provider keep, so that ZoneMTA can send them over the connection that it has kept open. */
const MAX_PROVIDERS = 10_000;

export class Bursts {
    private readonly kept = new Map<string, { address: string; left: number }>();

    /** @param length deliveries from one address before the next draw */
    constructor(private readonly length: number) {}

    /** The address to keep; undefined: draw one. */
    addressFor(provider: string): string | undefined {
        return this.kept.get(provider)?.address;
    }

    /** A delivery leaves from this address: one of the burst, or the first of a new one. */
    note(provider: string, address: string): void {
        const known = this.kept.get(provider);
        const left = (known?.address === address ? known.left : this.length) - 1;
        this.kept.delete(provider);
        if (left > 0) {
            this.kept.set(provider, { address, left });
        }
        const [oldest] = this.kept.keys();
        if (oldest !== undefined && this.kept.size > MAX_PROVIDERS) {
            this.kept.delete(oldest);
        }
    }
}
