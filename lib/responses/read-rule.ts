/** Checks one rule as it stands in a file, and compiles it. */

import { REPLY_CLASSES, SCOPES, type RateAbout } from '../delivery/types';
import { defaultScope } from './match';
import type { Rule } from './rule';
import { fold } from './text';

/** Expressions by name, for the patterns of a directory. */
export type Words = ReadonlyMap<string, string>;

/** A fault in a rules file. The message names file, rule and mend. */
export class RuleError extends Error {
    override name = 'RuleError';

    constructor(file: string, id: string, fault: string) {
        super(`${file}: ${id}: ${fault}`);
    }
}

/** A table of a rules file, unchecked. */
export type Table = Record<string, unknown>;

const RATE_ABOUT: readonly RateAbout[] = ['address', 'domain', 'sender', 'url', 'complaints'];
const KEYS = ['id', 'class', 'scope', 'pattern', 'unless', 'code', 'enhanced', 'provider', 'about', 'samples', 'nearMisses', 'source'];

/** The commonest way to a pattern that takes exponential time. The package's own patterns are proven by a test. */
const NESTED_REPETITION = /\([^()]*(?:[*+]|\{\d+,\})[^()]*\)(?:[*+]|\{\d+,\})/;

/** One value of a rule, checked. Each method names the key and what it may be. */
class Reader {
    constructor(
        private readonly table: Table,
        readonly file: string,
        readonly id: string,
        private readonly words: Words
    ) {}

    fault(message: string): RuleError {
        return new RuleError(this.file, this.id, message);
    }

    knownKeys(): void {
        const unknown = Object.keys(this.table).find(key => !KEYS.includes(key));
        if (unknown !== undefined) {
            throw this.fault(`unknown key "${unknown}"; allowed are ${KEYS.join(', ')}`);
        }
    }

    oneOf<T extends string>(key: string, allowed: readonly T[]): T | undefined {
        const value = this.text(key);
        if (value === undefined) {
            return undefined;
        }
        const known = allowed.find(name => name === value);
        if (known === undefined) {
            throw this.fault(`${key} "${value}" is not known; use one of ${allowed.join(', ')}`);
        }
        return known;
    }

    text(key: string): string | undefined {
        const value = this.table[key];
        if (value !== undefined && (typeof value !== 'string' || value === '')) {
            throw this.fault(`${key} must be a text that is not empty`);
        }
        return value;
    }

    texts(key: string): string[] {
        const value = this.table[key] ?? [];
        if (!Array.isArray(value) || !value.every(item => typeof item === 'string' && item !== '')) {
            throw this.fault(`${key} must be a list of texts`);
        }
        return value as string[];
    }

    codes(): number[] {
        const value = this.table['code'] ?? [];
        const valid = (code: unknown): boolean => code === 0 || code === 4 || code === 5 || (Number(code) >= 200 && Number(code) <= 599);
        if (!Array.isArray(value) || !value.every(item => Number.isInteger(item) && valid(item))) {
            throw this.fault('code must be a list of SMTP codes, for example [421, 450], or [4] for all 4xx');
        }
        return value.map(Number);
    }

    /**
     * A list is a choice: one regular expression a line is easier to read than one long line. `{name}` is a word of
     * words.toml. Patterns are folded once, as every reply is, because matching without the `i` flag is several times faster.
     */
    pattern(key: string, whole: boolean): RegExp | undefined {
        const value = this.table[key];
        if (value === undefined) {
            return undefined;
        }
        const source = (Array.isArray(value) ? this.texts(key) : [this.text(key)]).join('|').replace(/\{([a-z][a-z-]*)\}/g, (_all, name: string) => this.word(name));
        if (source === '') {
            throw this.fault(`${key} is an empty list, which would match every reply; remove it or fill it`);
        }
        const folded = source.replace(/\\.|[^\\]+/g, part => (part.startsWith('\\') ? part : fold(part)));
        if (NESTED_REPETITION.test(folded.replace(/\\./g, ''))) {
            throw this.fault(`${key} repeats a repetition, which can take for ever; bound the inner one, for example by {0,80}`);
        }
        try {
            return new RegExp(whole ? `^(?:${folded})$` : folded);
        } catch (err) {
            throw this.fault(`${key} is no regular expression (${(err as Error).message}); mend it`);
        }
    }

    private word(name: string): string {
        const word = this.words.get(name);
        if (word === undefined) {
            throw this.fault(`{${name}} is not in words.toml; known are ${[...this.words.keys()].join(', ')}`);
        }
        return `(?:${word})`;
    }
}

/**
 * One rule of a file, checked and compiled.
 *
 * @throws RuleError that names the key and what it may be
 */
export function readRule(table: Table, file: string, position: number, words: Words): Rule {
    const id = table['id'];
    if (typeof id !== 'string' || id === '') {
        throw new RuleError(file, `rule ${position}`, 'has no id; give it one that is unique');
    }
    const reader = new Reader(table, file, id, words);
    reader.knownKeys();
    const replyClass = reader.oneOf('class', REPLY_CLASSES);
    if (!replyClass) {
        throw reader.fault(`has no class; use one of ${REPLY_CLASSES.join(', ')}`);
    }
    const rule: Rule = {
        id,
        class: replyClass,
        scope: reader.oneOf('scope', SCOPES) ?? defaultScope(replyClass),
        pattern: reader.pattern('pattern', false),
        unless: reader.pattern('unless', false),
        codes: reader.codes(),
        enhanced: reader.pattern('enhanced', true),
        providers: reader.texts('provider'),
        about: reader.oneOf('about', RATE_ABOUT),
        samples: reader.texts('samples'),
        nearMisses: reader.texts('nearMisses'),
        source: reader.text('source') ?? '',
        file
    };
    if (!rule.pattern && !rule.enhanced) {
        throw reader.fault('has neither pattern nor enhanced; a rule needs one of them');
    }
    if (rule.samples.length === 0) {
        throw reader.fault('has no sample; add a reply that it was made for');
    }
    if (rule.source === '') {
        throw reader.fault('has no source; name the page or log that shows the reply');
    }
    return rule;
}
