/**
 * Replies that no rule knows, gathered into candidates for rules: the same text from a provider, how many of our addresses
 * got it, and whether another address then delivered what it had refused. Pure. It only shows; nobody acts on it by himself.
 */
import { createHash } from 'node:crypto';
import { readReply } from './text';

/** One refusal that was classified by its code alone. */
export interface Sighting {
    provider: string;
    code: number;
    response: string;
    address: string;
    at: number;
    /** Address that delivered the same message to the same recipient later; undefined when none has. */
    deliveredFrom?: string | undefined;
}

export interface Candidate {
    provider: string;
    code: number;
    /** The text with tokens in place of addresses, names and numbers. */
    template: string;
    sample: string;
    count: number;
    /** Addresses of ours that got it, and other addresses that delivered to this provider meanwhile. */
    addresses: number;
    otherAddressesDelivered: number;
    /** Refused deliveries that another address, or the same one, delivered later. */
    rescuedElsewhere: number;
    rescuedSame: number;
    first: number;
    last: number;
    looksLike: 'reputation' | 'not the address' | 'unclear';
    /** A rule for a file of your own rules directory, when it looks like reputation. */
    rule?: string;
}

const MAX_CANDIDATES = 100;
const MAX_TEMPLATE = 300;
/** So many rescues from another address, and none from the same, are more than chance. */
const ENOUGH = 2;

/** The reply's text with tokens for all that differs from one message to the next: names, numbers, ids, links. */
export function templateOf(code: number, response: string): string {
    return readReply({ code, text: response, stage: 'none' })
        .body.replace(/https?:\/\/\S+/g, '<url>')
        .replace(/[\w.+-]{1,64}@[\w.-]{1,255}/g, '<@>')
        .replace(/(?<![\w<])(?:[\w-]{1,63}\.){1,8}[a-z]{2,18}(?![\w>])/g, '<name>')
        .replace(/(?<![\w<#])(?=\w*\d)[\w-]{6,}(?![\w>])/g, '<id>')
        .replace(/(?<![\w<#])\d+(?![\w>])/g, '<n>')
        .slice(0, MAX_TEMPLATE);
}

/**
 * Candidates, those that look like reputation first, then the most frequent.
 *
 * @param delivered addresses that have delivered to each provider in the time that the sightings cover
 */
export function candidates(sightings: readonly Sighting[], delivered: ReadonlyMap<string, ReadonlySet<string>>): Candidate[] {
    const groups = new Map<string, { template: string; its: Sighting[] }>();
    for (const sighting of sightings) {
        const template = templateOf(sighting.code, sighting.response);
        const key = `${sighting.provider}\n${sighting.code}\n${template}`;
        const group = groups.get(key) ?? { template, its: [] };
        group.its.push(sighting);
        groups.set(key, group);
    }
    return [...groups.values()]
        .map(({ template, its }) => candidate(template, its, delivered))
        .sort((a, b) => Number(b.looksLike === 'reputation') - Number(a.looksLike === 'reputation') || b.count - a.count)
        .slice(0, MAX_CANDIDATES);
}

function candidate(template: string, its: readonly Sighting[], delivered: ReadonlyMap<string, ReadonlySet<string>>): Candidate {
    const { provider, code, response } = its[0] as Sighting;
    const refused = new Set(its.map(({ address }) => address));
    const others = [...(delivered.get(provider) ?? [])].filter(address => !refused.has(address)).length;
    const rescuedElsewhere = its.filter(({ deliveredFrom, address }) => deliveredFrom !== undefined && deliveredFrom !== address).length;
    const rescuedSame = its.filter(({ deliveredFrom, address }) => deliveredFrom === address).length;
    const looksLike = rescuedElsewhere >= ENOUGH && rescuedSame === 0 ? 'reputation' : rescuedSame >= ENOUGH ? 'not the address' : 'unclear';
    const times = its.map(({ at }) => at);
    return {
        provider,
        code,
        template,
        sample: response,
        count: its.length,
        addresses: refused.size,
        otherAddressesDelivered: others,
        rescuedElsewhere,
        rescuedSame,
        first: Math.min(...times),
        last: Math.max(...times),
        looksLike,
        ...(looksLike === 'reputation' ? { rule: ruleFor(provider, code, template, response) } : {})
    };
}

/** Tokens of `templateOf` that rules see as they are; the others stand for text that rules do see. */
const EXPRESSIONS: Readonly<Record<string, string>> = { '<url>': '\\S{1,200}', '<id>': '[\\w-]{1,64}', '<n>': '\\d{1,20}' };

function ruleFor(provider: string, code: number, template: string, sample: string): string {
    const pattern = template
        .split(/(<url>|<id>|<n>|<name>|<@>)/)
        .map(part => EXPRESSIONS[part] ?? (part === '<name>' || part === '<@>' ? '\\S{1,200}' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')))
        .join('');
    const id = `own-${createHash('sha256').update(`${provider} ${code} ${template}`).digest('hex').slice(0, 8)}`;
    return [
        '[[rule]]',
        `id = "${id}"`,
        'class = "ip-reputation"',
        `code = [${code}]`,
        ...(/^[a-z0-9-]+$/.test(provider) ? [`provider = [${JSON.stringify(provider)}]`] : []),
        `pattern = ${JSON.stringify(pattern)}`,
        `samples = [${JSON.stringify(sample)}]`,
        'nearMisses = ["550 5.1.1 User unknown", "554 5.7.1 Message rejected as spam"]',
        'source = "our own traffic"',
        ''
    ].join('\n');
}
