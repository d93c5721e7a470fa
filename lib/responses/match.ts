/**
 * Which class does a reply belong to? Pure: rules, reply and provider in, classification out.
 *
 * The order in which the rules are asked is the order in which they were loaded, and the first match decides:
 *   1. the operator's own rules;
 *   2. rules for one provider, or for a code or phrase that only one provider or product uses (files 10-*);
 *   3. rules by who is blamed (files 20-* to 60-*): first whatever is blamed *although* an address may be named with it
 *      (SPF, a URL list, the recipient), then the address itself, then all the rest;
 *   4. when no rule knows the text: what code and enhanced status say alone (./codes).
 */

import type { Classification, RateAbout, Reply, ReplyClass, Scope } from '../delivery/types';
import { classOfCode } from './codes';
import { hintsOf } from './hints';
import type { RuleSet } from './rule-set';
import { readReply } from './text';

/** Limits that go with the message to any other address. */
const ELSEWHERE_TOO: ReadonlySet<RateAbout | undefined> = new Set<RateAbout | undefined>(['domain', 'sender', 'url']);

const IP_RELATED: ReadonlySet<ReplyClass> = new Set<ReplyClass>(['ip-reputation', 'ip-rate', 'ip-ptr', 'greylist']);

/** Could another source address have made the difference? */
export function isIpRelated(replyClass: ReplyClass): boolean {
    return IP_RELATED.has(replyClass);
}

/** How much of the pool a class speaks about when the rule does not say. */
export function defaultScope(replyClass: ReplyClass): Scope {
    return isIpRelated(replyClass) ? 'address' : 'none';
}

/**
 * Classifies one reply. `provider` is the provider's key (lib/providers), or undefined when it is not known; rules that
 * are limited to providers are then left out. Any text gets a class; nothing throws.
 */
export function classify(set: RuleSet, reply: Reply, provider?: string): Classification {
    const text = readReply(reply);
    const rule = set.find(text, provider);
    const replyClass = rule?.class ?? classOfCode(text.code, text.enhanced, reply.stage);
    const hints = hintsOf(text.body, reply.text, replyClass, rule?.about);
    return {
        class: replyClass,
        ipRelated: isIpRelated(replyClass) && !ELSEWHERE_TOO.has(hints.rateAbout),
        scope: rule?.scope ?? defaultScope(replyClass),
        rule: rule?.id ?? (text.code === 0 ? 'network' : 'code'),
        hints
    };
}
