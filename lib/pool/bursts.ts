/** Which address the next deliveries to a provider keep, so that ZoneMTA can send them over the connection that it has kept open. */
const MAX_PROVIDERS = 10_000;

export class Bursts {
    private readonly kept = new Map<string, { address: string; left: number }>();

    /** @param length deliveries from one address before the next draw */
    constructor(private readonly length: number) {}

    /** The address for the next delivery: the one that is kept, or the drawn one, with which a new burst begins. */
    next(provider: string, drawn: string): string {
        const known = this.kept.get(provider);
        if (!known) {
            this.begin(provider, drawn);
            return drawn;
        }
        known.left--;
        if (known.left === 0) {
            this.kept.delete(provider);
        }
        return known.address;
    }

    /** A delivery leaves from this address, and the ones after it too: the burst before has ended. */
    begin(provider: string, address: string): void {
        this.kept.delete(provider);
        if (this.length > 1) {
            this.kept.set(provider, { address, left: this.length - 1 });
        }
        const [oldest] = this.kept.keys();
        if (oldest !== undefined && this.kept.size > MAX_PROVIDERS) {
            this.kept.delete(oldest);
        }
    }
}
