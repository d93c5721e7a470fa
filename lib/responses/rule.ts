import type { RateAbout, ReplyClass, Scope } from '../delivery/types';
import type { ReplyText } from './text';

/** One rule as it stands in a rules file, compiled. Every limit that is given must hold. */
export interface Rule {
    id: string;
    class: ReplyClass;
    scope: Scope;
    /** Looked for in the body of the reply (see ReplyText for its form). Always true when absent. */
    pattern: RegExp | undefined;
    /** Somebody else is blamed: where this is found in the body, the rule says nothing. */
    unless: RegExp | undefined;
    /** SMTP codes; 4 and 5 stand for all codes that start so. Empty: any. */
    codes: readonly number[];
    /** Must match the whole enhanced status. */
    enhanced: RegExp | undefined;
    /** Provider keys. A rule with such a limit says nothing about replies of an unknown provider. Empty: any. */
    providers: readonly string[];
    /** What an ip-rate rule counts, when the wording of the reply does not say it. */
    about: RateAbout | undefined;
    samples: readonly string[];
    nearMisses: readonly string[];
    /** Page or log that shows the reply. */
    source: string;
    /** File that the rule was read from. */
    file: string;
}

/** Do code, status and provider allow that the rule speaks about this reply? */
export function admits(rule: Rule, text: ReplyText, provider: string | undefined): boolean {
    if (rule.providers.length > 0 && (provider === undefined || !rule.providers.includes(provider))) {
        return false;
    }
    if (rule.codes.length > 0 && !rule.codes.some(code => code === (code < 10 ? Math.floor(text.code / 100) : text.code))) {
        return false;
    }
    return !rule.enhanced || rule.enhanced.test(text.enhanced);
}

/** Does the rule speak about this reply? `provider` is the key of the provider that sent it, if known. */
export function matches(rule: Rule, text: ReplyText, provider: string | undefined): boolean {
    return admits(rule, text, provider) && (!rule.pattern || rule.pattern.test(text.body)) && !rule.unless?.test(text.body);
}
