import * as v from 'valibot';
import { table } from './tables';
import { dnsLists, flag, hostAndPort, network, wholeNumber, zoneName } from './values';

const A_PREFIX = 'letters, digits and any of ":._-", 1 to 64 of them';
const A_PATH = 'a path, or "" for none';
const A_HEADER = 'the name of a header field like "X-Sender", or "" for none';
const CHECKS_LEFT_OUT = 'a list of any of "route", "dnsbl", "ptr" and "ehlo"';
const A_TOKEN = 'a token of visible ASCII characters without blanks, or "" for none';

/** The ladder of ranges that a block may cover, from the narrowest to the widest. */
function ladder(widest: number, narrowest: number) {
    const allowed = `a list of one to four prefix lengths from ${narrowest} down to ${widest}, each smaller than the one before`;
    return v.pipe(
        v.array(v.number(allowed), allowed),
        v.check(
            lengths =>
                lengths.length >= 1 &&
                lengths.length <= 4 &&
                lengths.every(
                    (length, index) =>
                        Number.isInteger(length) && length >= widest && length <= narrowest && length < (lengths[index - 1] ?? Infinity)
                ),
            allowed
        )
    );
}

/** Options of `modules/zonemta-smart-relay`: what all plugins of the package share. */
export const sharedSchema = table({
    keyPrefix: v.optional(v.pipe(v.string(A_PREFIX), v.regex(/^[\w:.-]{1,64}$/, A_PREFIX)), 'zsr:'),
    redisCluster: v.optional(v.array(hostAndPort, 'a list of nodes like "192.0.2.1:6379"'), []),
    zones: v.optional(v.array(zoneName, 'a list of names of sending zones'), []),
    providersFile: v.optional(v.string(A_PATH), ''),
    rulesDir: v.optional(v.string(A_PATH), ''),
    subnets4: v.optional(ladder(8, 31), [28, 24]),
    subnets6: v.optional(ladder(16, 127), [64, 48]),
    senderHeader: v.optional(v.pipe(v.string(A_HEADER), v.regex(/^[!-9;-~]*$/, A_HEADER)), ''),
    trustedNetworks: v.optional(v.array(network, 'a list of addresses and networks'), []),
    apiToken: v.optional(v.pipe(v.string(A_TOKEN), v.regex(/^[!-~]*$/, A_TOKEN)), ''),
    dnsbl: v.optional(dnsLists, []),
    leaveOut: v.optional(v.array(v.picklist(['route', 'dnsbl', 'ptr', 'ehlo'], CHECKS_LEFT_OUT), CHECKS_LEFT_OUT), ['route', 'dnsbl']),
    historyDays: v.optional(wholeNumber(1, 3650), 30),
    shadow: v.optional(flag, false)
});

/** `trustedNetworks` are CIDR strings, a single address too. `leaveOut`: checks whose failing leaves an address out. */
export type SharedSettings = v.InferOutput<typeof sharedSchema>;
