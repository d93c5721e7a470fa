/** The addresses that a delivery may leave from, in the order of preference and a few at a time, for what has to agree to one of them. Pure. */
import { canReach, choose, type Choice, type Health } from './choose';
import { indexOf } from './draw';
import type { PoolAddress } from './pool';

export interface OfferRules {
    /** Kept from the delivery before, in place of the draw. */
    kept?: string | undefined;
    /** Known to have no slot now. */
    isFull: (entry: PoolAddress) => boolean;
    /** In warm-up: what it may not send leaves from another one. */
    isNew: (entry: PoolAddress) => boolean;
}

/** Addresses that are offered at once. */
const AT_ONCE = 4;
/** So many times others are offered when none of them will do. */
const ROUNDS = 16;

/**
 * @param drawn what `choose` gave, not suspended
 * @returns lists of addresses, none of them twice: the first address by itself, then others. With a new address come as many old ones, so that a delivery finds one that is
 * free whatever is in warm-up. The last list, with `more` unset, is of those that it may wait for: old ones where there are any
 */
export function* offersOf(choice: Choice & { health: Health }, drawn: PoolAddress, { kept, isFull, isNew }: OfferRules): Generator<{ addresses: readonly PoolAddress[]; more: boolean }> {
    const { health, tried, reachable, pool } = choice;
    const taken = new Set<PoolAddress>();
    const draw = (isLeftOut: (entry: PoolAddress) => boolean): PoolAddress[] => {
        const shut = (entry: PoolAddress) => taken.has(entry) || isLeftOut(entry) || health.standing(entry) === 'shut';
        const entry = choose({ ...choice, pin: undefined, health: { ...health, standing: other => (shut(other) ? 'shut' : health.standing(other)) } });
        // when nothing else is left, choose gives what is shut, or what the delivery was refused from
        if (!entry || shut(entry) || (tried.includes(entry.address) && !tried.includes(drawn.address))) {
            return [];
        }
        taken.add(entry);
        return [entry];
    };
    const drawSome = (isLeftOut: (entry: PoolAddress) => boolean) => Array.from({ length: AT_ONCE }, () => draw(isLeftOut)).flat();

    const own = kept === undefined ? undefined : indexOf(pool).byAddress.get(kept);
    const first = own && canReach(reachable, own) && health.standing(own) === 'open' ? own : drawn;
    let addresses = isFull(first) ? [] : [first];
    taken.add(first);
    if (addresses.length > 0 && !isNew(first)) {
        // nearly always the only one that is needed
        yield { addresses, more: true };
        addresses = [];
    }
    for (let round = 0; round < ROUNDS; round++) {
        addresses.push(...drawSome(isFull));
        if (addresses.some(isNew)) {
            addresses.push(...drawSome(entry => isFull(entry) || isNew(entry)));
        }
        if (addresses.length === 0) {
            break;
        }
        yield { addresses, more: true };
        addresses = [];
    }
    taken.clear();
    const old = drawSome(isNew);
    yield { addresses: old.length > 0 ? old : [first, ...drawSome(entry => entry === first)], more: false };
}
