/** What a new address may send. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allowanceOf } from '../../lib/pool/warm-up';

const DAY = 86_400_000;
const SINCE = Date.UTC(2026, 2, 31);
const WARM_UP = { perDay: 50, doubleEvery: 3 * DAY, fullAt: 10_000 };

describe('the allowance of an address', () => {
    it.each([
        [-5, 50],
        [0, 50],
        [1, 62],
        [3, 100],
        [6, 200],
        [21, 6400],
        [22.9, 9927],
        [23, undefined],
        [1000, undefined]
    ])('on day %d is %s', (day, expected) => {
        expect(allowanceOf({ since: SINCE }, SINCE + day * DAY, WARM_UP)).toBe(expected);
    });

    it('that is not new has no end', () => {
        expect(allowanceOf({}, SINCE, WARM_UP)).toBeUndefined();
    });

    it('never shrinks, and is never less than at the start', () => {
        fc.assert(
            fc.property(fc.nat(100), fc.nat(100), fc.integer({ min: 1, max: 1000 }), (one, other, perDay) => {
                const at = (day: number) => allowanceOf({ since: SINCE }, SINCE + day * DAY, { ...WARM_UP, perDay }) ?? Infinity;
                expect(at(Math.max(one, other))).toBeGreaterThanOrEqual(at(Math.min(one, other)));
                expect(at(one)).toBeGreaterThanOrEqual(perDay);
            })
        );
    });
});
