/**
 * Which of our addresses have reached a provider in the last minutes, and which have not, as this process saw it: the evidence for
 * whose fault a failed connection is.
 */

const WINDOW = 5 * 60_000;
/** So many others have to get through before a failure is the address's own. */
const ENOUGH = 3;
const MAX_PROVIDERS = 1000;
/** Addresses kept for each provider, of either kind. */
const MAX_ADDRESSES = 64;

interface Seen {
    /** Address → time, the latest last. */
    reached: Map<string, number>;
    failed: Map<string, number>;
}

export class Reachability {
    private readonly providers = new Map<string, Seen>();

    /** A connection from this address was made, and greeted. */
    reached(provider: string, address: string, now: number): void {
        noteLatest(this.seen(provider).reached, address, now, MAX_ADDRESSES);
    }

    /** A connection from this address was refused, reset, or timed out. */
    failed(provider: string, address: string, now: number): void {
        noteLatest(this.seen(provider).failed, address, now, MAX_ADDRESSES);
    }

    /**
     * Do others of ours get through now? Only what came after the last failure of any other address counts: where several fail it is the
     * provider's trouble, or the way there.
     */
    othersReach(provider: string, address: string, now: number): boolean {
        const { reached, failed } = this.providers.get(provider) ?? { reached: [], failed: [] };
        const since = [...failed].reduce((latest, [other, at]) => (other === address ? latest : Math.max(latest, at)), now - WINDOW);
        return [...reached].filter(([other, at]) => other !== address && at > since).length >= ENOUGH;
    }

    private seen(provider: string): Seen {
        const known = this.providers.get(provider) ?? { reached: new Map<string, number>(), failed: new Map<string, number>() };
        noteLatest(this.providers, provider, known, MAX_PROVIDERS);
        return known;
    }
}

/** Puts an entry last; the first one, of the longest ago, goes when there are too many. */
function noteLatest<T>(map: Map<string, T>, key: string, value: T, max: number): void {
    map.delete(key);
    map.set(key, value);
    const [oldest] = map.keys();
    if (oldest !== undefined && map.size > max) {
        map.delete(oldest);
    }
}
