/** Whose fault is a connection that failed: the address's, when others get through, or the provider's. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Reachability } from '../../lib/health/reachability';

const MINUTE = 60_000;
const [A, B, C, D, E] = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4', '192.0.2.5'] as const;
const NOW = Date.UTC(2026, 0, 15, 12);

let seen: Reachability;
beforeEach(() => {
    seen = new Reachability();
});

function reached(addresses: readonly string[], at: number, provider = 'theirs'): void {
    addresses.forEach(address => seen.reached(provider, address, at));
}

describe('an address that fails', () => {
    it('is alone with it when three others got through in the last five minutes', () => {
        reached([B, C], NOW - MINUTE);
        expect(seen.othersReach('theirs', A, NOW)).toBe(false);
        reached([D], NOW - 4 * MINUTE);
        expect(seen.othersReach('theirs', A, NOW)).toBe(true);
        expect(seen.othersReach('theirs', A, NOW + 2 * MINUTE)).toBe(false);
    });

    it('does not count for itself, however often it got through', () => {
        reached([A, B, C, A, A, B, C], NOW - MINUTE);
        expect(seen.othersReach('theirs', A, NOW)).toBe(false);
    });

    it('is not alone when another one has failed since: it is the provider, or the way there', () => {
        reached([B, C, D, E], NOW - MINUTE);
        seen.failed('theirs', A, NOW);
        expect(seen.othersReach('theirs', A, NOW)).toBe(true);
        seen.failed('theirs', B, NOW + 1);
        expect(seen.othersReach('theirs', B, NOW + 1)).toBe(false);
        expect(seen.othersReach('theirs', A, NOW + 1)).toBe(false);
    });

    it('is alone again when three others have got through after that', () => {
        seen.failed('theirs', B, NOW);
        reached([C, D], NOW + 1);
        expect(seen.othersReach('theirs', A, NOW + 2)).toBe(false);
        reached([E], NOW + 2);
        expect(seen.othersReach('theirs', A, NOW + 3)).toBe(true);
    });

    it('at one provider says nothing about another', () => {
        reached([B, C, D], NOW, 'other');
        expect(seen.othersReach('theirs', A, NOW)).toBe(false);
    });
});

it('what is kept is bounded: the latest addresses, and the latest providers', () => {
    reached([B, C, D], NOW, 'first');
    reached([B, C, D], NOW, 'full');
    for (let n = 0; n < 998; n++) {
        reached([`10.0.${n >> 8}.${n & 255}`], NOW, 'full');
        seen.failed(`p${n}`, A, NOW);
    }
    expect(seen.othersReach('first', A, NOW)).toBe(true);
    seen.failed('one more', A, NOW);
    expect(seen.othersReach('first', A, NOW)).toBe(false);
    // B to D are not among the latest 64, others are
    expect(seen.othersReach('full', A, NOW)).toBe(true);
});
