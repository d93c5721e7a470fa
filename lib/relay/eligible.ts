/** Which deliveries the external provider may ever see. Pure. */
import { domainToASCII } from 'node:url';

export interface RelayRules {
    /** Relay zones, in order. */
    zones: readonly string[];
    /** Domains of recipients or senders that are never handed over; a leading dot or "*." means the sub-domains. */
    exclude: readonly string[];
    /** May bounces and notices (the empty sender) be handed over? */
    nullSender: boolean;
}

/** The relay zones that may take this delivery: all of them, or none. */
export function relaysFor(rules: RelayRules, envelope: { from: string; recipient: string }): readonly string[] {
    if (envelope.from === '' && !rules.nullSender) {
        return [];
    }
    if (rules.exclude.length === 0) {
        return rules.zones;
    }
    const domains = [envelope.from, envelope.recipient].map(domainOf);
    return rules.exclude.some(pattern => domains.some(domain => covers(pattern.toLowerCase(), domain))) ? [] : rules.zones;
}

/** In ASCII, as the settings have it: smtp-server hands international domains over in Unicode. */
function domainOf(address: string): string {
    const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase();
    return domainToASCII(domain) || domain;
}

function covers(pattern: string, domain: string): boolean {
    const below = /^(?:\*)?(\..+)$/.exec(pattern)?.[1];
    return below === undefined ? domain === pattern : domain.endsWith(below);
}
