/**
 * When mail from each of our ranges was last accepted at a provider, as this process saw it. Told with each strike, so that a
 * range which still works is not given up for some bad addresses in it, and an accepted delivery costs no round trip.
 */
const MAX_PROVIDERS = 10_000;

export class Acceptances {
    private readonly providers = new Map<string, Map<string, number>>();

    /** @param scopes of the address, see `scopesOf` */
    note(provider: string, scopes: readonly string[], now: number): void {
        const known = this.providers.get(provider) ?? new Map<string, number>();
        // the address itself has no parts
        scopes.slice(1).forEach(scope => known.set(scope, now));
        // the provider of the longest ago goes first
        this.providers.delete(provider);
        this.providers.set(provider, known);
        const [oldest] = this.providers.keys();
        if (oldest !== undefined && this.providers.size > MAX_PROVIDERS) {
            this.providers.delete(oldest);
        }
    }

    /** Last acceptance from each scope; 0: none. */
    of(provider: string, scopes: readonly string[]): number[] {
        const known = this.providers.get(provider);
        return scopes.map(scope => known?.get(scope) ?? 0);
    }
}
