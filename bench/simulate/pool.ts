/** The pool of the simulation: half IPv4 in two /24, half IPv6 in eight /64 of two /48. Documentation networks (RFC 5737, RFC 3849). */
import { buildPool, type PoolAddress } from '../../lib/pool/pool';

export const RANGES = { subnets4: [28, 24], subnets6: [64, 48], weights: {} };

/** @param size a multiple of 16 */
export function simulatedPool(size: number): PoolAddress[] {
    const quarter = Array.from({ length: size / 4 }, (_, n) => n);
    const v4 = ['198.51.100', '203.0.113'].flatMap(net => quarter.map(n => `${net}.${n}`));
    const v6 = ['a', 'b'].flatMap(site => quarter.map(n => `2001:db8:${site}:${n % 4}::${(Math.floor(n / 4) + 1).toString(16)}`));
    return buildPool([...v4, ...v6].map(address => ({ address })), RANGES);
}
