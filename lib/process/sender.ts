/** Whose mail is this? The authenticated user, else a header that a trusted mailbox server set, else the envelope's word for it. Pure. */
import ipaddr from 'ipaddr.js';
import { oneLine } from '../delivery/state';
import type { MessageFacts } from '../zonemta/message';

export interface SenderRules {
    /** Header that names the sender; empty: none. */
    senderHeader: string;
    /** CIDR ranges whose header is believed. */
    trustedNetworks: readonly string[];
}

export interface Submission {
    user: string;
    /** Address of the submitting host. */
    origin: string;
    /** Values of the sender header, the topmost first. */
    header: readonly string[];
    from: string;
}

const MAX_SENDER = 320;

export function senderOf(rules: SenderRules, submission: Submission): MessageFacts {
    const named = oneLine(submission.header[0] ?? '', MAX_SENDER);
    if (submission.user) {
        return { sender: oneLine(submission.user, MAX_SENDER), guess: false };
    }
    if (named && isTrusted(rules.trustedNetworks, submission.origin)) {
        return { sender: named, guess: false };
    }
    return { sender: oneLine(submission.from, MAX_SENDER).toLowerCase(), guess: true };
}

function isTrusted(networks: readonly string[], origin: string): boolean {
    if (!ipaddr.isValid(origin)) {
        return false;
    }
    const ip = ipaddr.process(origin);
    return networks.map(network => ipaddr.parseCIDR(network)).some(([net, bits]) => net.kind() === ip.kind() && ip.match(net, bits));
}
