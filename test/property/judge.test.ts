/** Whatever the checks find: they never take more of a pool away than an operator would believe. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CHECKS, finding, type CheckName, type Finding } from '../../lib/checks/finding';
import { isTooMuch, judge } from '../../lib/checks/judge';

const ADDRESSES = Array.from({ length: 12 }, (_, n) => (n % 3 === 0 ? `2001:db8::${n}` : `192.0.2.${n}`));
const entryOf = (address: string) => ({ address, family: address.includes(':') ? ('ipv6' as const) : ('ipv4' as const) });

const zone = fc.uniqueArray(fc.constantFrom(...ADDRESSES), { maxLength: 12 }).map(addresses => addresses.map(entryOf));
const pools = fc.tuple(zone, zone).map(([one, other]) => new Map([['one', one], ['other', other]]));
const result = fc.constantFrom('passed' as const, 'passed' as const, 'failed' as const, 'unknown' as const);
const findings = fc.array(fc.tuple(...CHECKS.map(() => result)), { minLength: 12, maxLength: 12 }).map(rows => new Map<string, Finding[]>(rows.map((row, n) => [ADDRESSES[n] ?? '', row.map((each, index) => finding(CHECKS[index] ?? 'ptr', each))])));
const leaveOut = fc.subarray<CheckName>(['route', 'dnsbl', 'global-list', 'ptr', 'ehlo']);

describe('whatever the checks find', () => {
    it('at least half of each pool that can be bound stays, and an address of each family', () => {
        fc.assert(
            fc.property(pools, findings, leaveOut, (zones, found, checks) => {
                const { out } = judge(zones, found, checks);
                for (const pool of zones.values()) {
                    const bound = pool.filter(({ address }) => !found.get(address)?.some(({ check, result }) => check === 'bindable' && result === 'failed'));
                    expect(isTooMuch(bound, ({ address }) => out.has(address))).toBe(false);
                }
            }),
            { numRuns: 5000 }
        );
    });

    it('only a failing of a check that leaves out does, what cannot be bound always, and what is left in although it failed is told', () => {
        fc.assert(
            fc.property(pools, findings, leaveOut, (zones, found, checks) => {
                const { out, doubted, undecided } = judge(zones, found, checks);
                for (const [address, all] of found) {
                    const failing = all.filter(each => each.result === 'failed' && (each.check === 'bindable' || checks.includes(each.check)));
                    const counted = out.get(address);
                    expect(counted === undefined || failing.includes(counted)).toBe(true);
                    if (failing.some(({ check }) => check === 'bindable')) {
                        expect(counted?.check).toBe('bindable');
                    }
                    const homes = [...zones].filter(([, pool]) => pool.some(entry => entry.address === address)).map(([name]) => name);
                    if (counted === undefined && homes.length > 0) {
                        expect(failing.every(({ check }) => doubted.some(doubt => doubt.check === check && homes.includes(doubt.zone)))).toBe(true);
                    }
                    expect(undecided.has(address)).toBe(counted === undefined && all.some(each => each.result === 'unknown' && checks.includes(each.check)));
                }
            }),
            { numRuns: 5000 }
        );
    });
});
