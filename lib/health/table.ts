/** The suspensions that a process knows. Reading costs no round trip: the choice of an address looks here. */
import { isForgotten, isRunning, scopesOf, type Change, type Place, type Suspension } from './suspension';

/** `open`: healthy; `probe`: half-open, one delivery may try; `shut`: suspended, or being probed already. */
export type Standing = 'open' | 'probe' | 'shut';

/** How our addresses stand at one provider at one moment. */
export interface HealthView {
    standing(place: Place): Standing;
    /** When this address, or a range that it is in, was struck last. */
    struckAt(place: Place): number;
    /** Suspended for its reputation or by the operator: not even a greylisted delivery keeps it. */
    isBlamed(place: Place): boolean;
}

const NOTHING: ReadonlyMap<string, Suspension> = new Map();
const ALL_WELL: HealthView = { standing: () => 'open', struckAt: () => 0, isBlamed: () => false };

export class SuspensionTable {
    private providers = new Map<string, Map<string, Suspension>>();

    apply(changes: readonly Change[]): void {
        for (const { provider, scope, suspension } of changes) {
            const scopes = this.providers.get(provider) ?? new Map<string, Suspension>();
            if (suspension) {
                scopes.set(scope, suspension);
                this.providers.set(provider, scopes);
            } else if (scopes.delete(scope) && scopes.size === 0) {
                this.providers.delete(provider);
            }
        }
    }

    /** Takes these in place of all that was known. */
    replace(suspensions: readonly Suspension[]): void {
        this.providers = new Map();
        this.apply(suspensions.map(suspension => ({ provider: suspension.provider, scope: suspension.scope, suspension })));
    }

    /** What of this is suspended or half-open. */
    find(provider: string, scopes: readonly string[], now: number): Suspension[] {
        const known = this.providers.get(provider) ?? NOTHING;
        return known.size === 0 ? [] : scopes.flatMap(scope => known.get(scope) ?? []).filter(suspension => !isForgotten(suspension, now));
    }

    list(now: number): Suspension[] {
        return [...this.providers.values()].flatMap(scopes => [...scopes.values()]).filter(suspension => !isForgotten(suspension, now));
    }

    /** How our addresses stand at a provider now. */
    view(provider: string, now: number): HealthView {
        const known = this.providers.get(provider);
        if (!known) {
            return ALL_WELL;
        }
        const active = (scope: string) => {
            const suspension = known.get(scope);
            return suspension && !isForgotten(suspension, now) ? suspension : undefined;
        };
        const shuts = (suspension: Suspension) => isRunning(suspension, now) || now < suspension.probing;
        // asked for many addresses, one after the other: what covers them all is looked up once
        const wide = { ipv4: ['provider', 'ipv4'].flatMap(scope => active(scope) ?? []), ipv6: ['provider', 'ipv6'].flatMap(scope => active(scope) ?? []) };
        return {
            standing: ({ address, ranges, family }) => {
                let found = wide[family].length > 0;
                if (found && wide[family].some(shuts)) {
                    return 'shut';
                }
                for (let index = -1; index < ranges.length; index++) {
                    const suspension = active(index < 0 ? address : (ranges[index] ?? ''));
                    if (suspension && shuts(suspension)) {
                        return 'shut';
                    }
                    found ||= suspension !== undefined;
                }
                return found ? 'probe' : 'open';
            },
            struckAt: ({ address, ranges, family }) => {
                let last = active(address)?.struck ?? 0;
                for (const range of ranges) {
                    last = Math.max(last, active(range)?.struck ?? 0);
                }
                return wide[family].reduce((latest, { struck }) => Math.max(latest, struck), last);
            },
            isBlamed: place =>
                scopesOf(place).some(scope => {
                    const suspension = active(scope);
                    return suspension !== undefined && isRunning(suspension, now) && ['ip-reputation', 'operator'].includes(suspension.class);
                })
        };
    }
}

/** What of these suspensions stands in the way of a probe; none: it may go. */
export function mayProbe(found: readonly Suspension[], now: number): boolean {
    return found.length > 0 && found.every(suspension => !isRunning(suspension, now) && now >= suspension.probing);
}

