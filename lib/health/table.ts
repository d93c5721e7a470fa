/** The suspensions that a process knows. Reading costs no round trip: the choice of an address looks here. */
import { EVERYWHERE, isForgotten, isRunning, scopesOf, type Change, type Place, type Suspension } from './suspension';

/** `open`: healthy; `probe`: half-open, one delivery may try; `shut`: suspended, or being probed already. */
export type Standing = 'open' | 'probe' | 'shut';

/** How our addresses stand at one provider at one moment. */
export interface HealthView {
    standing(place: Place): Standing;
    /** When this address, or a range that it is in, was struck last. */
    struckAt(place: Place): number;
    /** Suspended for its reputation, by the operator or by our own checks: not even a greylisted delivery keeps it. */
    isBlamed(place: Place): boolean;
}

const NONE: readonly Suspension[] = [];
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

    /** What of this is suspended or half-open at this provider; what holds everywhere is asked for by that name. */
    find(provider: string, scopes: readonly string[], now: number): Suspension[] {
        const known = this.providers.get(provider) ?? NOTHING;
        return known.size === 0 ? [] : scopes.flatMap(scope => known.get(scope) ?? []).filter(suspension => !isForgotten(suspension, now));
    }

    list(now: number): Suspension[] {
        return [...this.providers.values()].flatMap(scopes => [...scopes.values()]).filter(suspension => !isForgotten(suspension, now));
    }

    /** How our addresses stand at a provider now. */
    view(provider: string, now: number): HealthView {
        const known = [provider, EVERYWHERE].flatMap(name => this.providers.get(name) ?? []);
        if (known.length === 0) {
            return ALL_WELL;
        }
        /** At the provider, and everywhere. */
        const active = (scope: string): readonly Suspension[] => {
            let found = NONE;
            for (const scopes of known) {
                const suspension = scopes.get(scope);
                if (suspension && !isForgotten(suspension, now)) {
                    found = [...found, suspension];
                }
            }
            return found;
        };
        const shuts = (suspension: Suspension) => isRunning(suspension, now) || now < suspension.probing;
        // asked for many addresses, one after the other: what covers them all is looked up once
        const wide = { ipv4: ['provider', 'ipv4'].flatMap(active), ipv6: ['provider', 'ipv6'].flatMap(active) };
        return {
            standing: ({ address, ranges, family }) => {
                let isCovered = false;
                const isShut = (suspensions: readonly Suspension[]) => {
                    isCovered ||= suspensions.length > 0;
                    return suspensions.some(shuts);
                };
                if (isShut(wide[family]) || isShut(active(address)) || ranges.some(range => isShut(active(range)))) {
                    return 'shut';
                }
                return isCovered ? 'probe' : 'open';
            },
            struckAt: place => scopesOf(place).reduce((latest, scope) => active(scope).reduce((last, { struck }) => Math.max(last, struck), latest), 0),
            isBlamed: place => scopesOf(place).some(scope => active(scope).some(suspension => isRunning(suspension, now) && ['ip-reputation', 'operator', 'check'].includes(suspension.class)))
        };
    }
}

/** What of these suspensions stands in the way of a probe; none: it may go. */
export function mayProbe(found: readonly Suspension[], now: number): boolean {
    return found.length > 0 && found.every(suspension => !isRunning(suspension, now) && now >= suspension.probing);
}

