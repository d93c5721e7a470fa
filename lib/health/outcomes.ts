/**
 * What has become of the mail from each of our ranges at a provider, as this process saw it: when some was last accepted, how much was
 * refused since, and what is under way. Told with each strike, so that a range which still works is not given up for some bad
 * addresses in it, and an accepted delivery costs no round trip.
 */
import { ByProvider } from './by-provider';
import { LEASE } from './pace';

interface Outcome {
    accepted: number;
    /** Since then. */
    refused: number;
}

interface UnderWay {
    provider: string;
    scopes: readonly string[];
    since: number;
}

export class Outcomes {
    private readonly providers = new ByProvider<Map<string, Outcome>>(() => new Map());
    private readonly underWay = new Map<string, UnderWay>();

    /** @param scopes of the address that it leaves from, see `scopesOf` */
    begin(delivery: string, underWay: UnderWay): void {
        // the oldest stay in front
        this.underWay.delete(delivery);
        this.underWay.set(delivery, underWay);
    }

    end(delivery: string): void {
        this.underWay.delete(delivery);
    }

    accept(provider: string, scopes: readonly string[], now: number): void {
        const known = this.providers.of(provider);
        // the address itself has no parts
        scopes.slice(1).forEach(scope => known.set(scope, { accepted: now, refused: 0 }));
    }

    refuse(provider: string, scopes: readonly string[]): void {
        const known = this.providers.of(provider);
        scopes.slice(1).forEach(scope => {
            const { accepted, refused } = known.get(scope) ?? { accepted: 0, refused: 0 };
            known.set(scope, { accepted, refused: refused + 1 });
        });
    }

    /** Last acceptance from each scope; 0: none. */
    accepted(provider: string, scopes: readonly string[]): number[] {
        const known = this.providers.find(provider);
        return scopes.map(scope => known?.get(scope)?.accepted ?? 0);
    }

    /** Of which scopes more is under way, beside this delivery, than was refused since the last acceptance. */
    undecided(provider: string, scopes: readonly string[], delivery: string, now: number): boolean[] {
        const known = this.providers.find(provider);
        for (const [stale, { since }] of this.underWay) {
            if (since > now - LEASE) {
                break;
            }
            this.underWay.delete(stale);
        }
        const others = [...this.underWay].filter(([other, { provider: where }]) => other !== delivery && where === provider).map(([, { scopes: theirs }]) => theirs);
        return scopes.map(scope => others.filter(theirs => theirs.includes(scope)).length > (known?.get(scope)?.refused ?? 0));
    }
}
