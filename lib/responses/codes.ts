import type { ReplyClass, Stage } from '../delivery/types';

/** What an enhanced status means by itself (RFC 3463, RFC 5248, RFC 7372), first digit left out. */
const BY_STATUS: readonly (readonly [RegExp, ReplyClass])[] = [
    [/^1\.[78]$/, 'sender'],
    [/^1\./, 'recipient'],
    [/^2\.2$/, 'mailbox-full'],
    [/^2\.3$/, 'size'],
    [/^2\./, 'recipient'],
    [/^3\.4$/, 'size'],
    [/^3\./, 'system'],
    [/^4\./, 'network'],
    [/^5\.3$/, 'policy-other'],
    [/^5\./, 'other'],
    [/^6\./, 'content'],
    [/^7\.25$/, 'ip-ptr'],
    [/^7\.(?:2[0-46-9]|30)$/, 'auth'],
    [/^7\.(?:8|9|13)$/, 'relay-denied'],
    [/^7\.(?:10|11)$/, 'tls'],
    [/^7\./, 'policy-other']
];

/** What a code means by itself, where RFC 5321 and RFC 7504 say more than "failed". */
const BY_CODE: ReadonlyMap<number, ReplyClass> = new Map<number, ReplyClass>([
    [421, 'system'],
    [451, 'system'],
    [452, 'system'],
    [454, 'tls'],
    [521, 'network'],
    [523, 'size'],
    [530, 'relay-denied'],
    [534, 'relay-denied'],
    [535, 'relay-denied'],
    [551, 'recipient'],
    [552, 'mailbox-full'],
    [556, 'network']
]);

/**
 * The class of a reply whose text no rule knows. A 5xx greeting blames the address: nothing else of ours was known to the
 * server when it said so.
 */
export function classOfCode(code: number, enhanced: string, stage: Stage): ReplyClass {
    if (code === 0) {
        return 'network';
    }
    if (stage === 'greeting' && code >= 500) {
        return 'ip-reputation';
    }
    const status = enhanced.slice(2);
    const known = BY_STATUS.find(([pattern]) => pattern.test(status));
    return known?.[1] ?? BY_CODE.get(code) ?? 'other';
}
