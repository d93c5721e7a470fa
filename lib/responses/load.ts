/**
 * Reads rules from files and proves them. Rules are data that people edit under pressure, so every rule carries the
 * replies it was made for, and a set in which one of them is decided by another rule is not taken.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parse } from 'smol-toml';
import { REPLY_CLASSES, SCOPES, type RateAbout } from '../delivery/types';
import { defaultScope, findRule } from './match';
import { matches, type Rule, type RuleSet } from './rule';
import { readReply, type ReplyText } from './text';

/** A fault in a rules file. The message names file, rule and mend. */
export class RuleError extends Error {
    override name = 'RuleError';

    constructor(file: string, id: string, fault: string) {
        super(`${file}: ${id}: ${fault}`);
    }
}

type Table = Record<string, unknown>;

const RATE_ABOUT: readonly RateAbout[] = ['address', 'domain', 'sender', 'url', 'complaints'];
const KEYS = ['id', 'class', 'scope', 'pattern', 'code', 'enhanced', 'provider', 'about', 'samples', 'nearMisses', 'source'];

/** One value of a rule, checked. Each method names the key and what it may be. */
class Reader {
    constructor(
        private readonly table: Table,
        readonly file: string,
        readonly id: string
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
     * A list is a choice: one regular expression a line is easier to read than one long line. Patterns are lowered once, as
     * every reply is, because matching without the `i` flag is several times faster.
     */
    pattern(key: string, whole: boolean): RegExp | undefined {
        const value = this.table[key];
        if (value === undefined) {
            return undefined;
        }
        const source = (Array.isArray(value) ? this.texts(key) : [this.text(key)]).join('|');
        if (source === '') {
            throw this.fault(`${key} is an empty list, which would match every reply; remove it or fill it`);
        }
        const lowered = source.replace(/\\.|[A-Z]+/g, part => (part.startsWith('\\') ? part : part.toLowerCase()));
        try {
            return new RegExp(whole ? `^(?:${lowered})$` : lowered);
        } catch (err) {
            throw this.fault(`${key} is no regular expression (${(err as Error).message}); mend it`);
        }
    }
}

function readRule(table: Table, file: string, position: number): Rule {
    const id = table['id'];
    if (typeof id !== 'string' || id === '') {
        throw new RuleError(file, `rule ${position}`, 'has no id; give it one that is unique');
    }
    const reader = new Reader(table, file, id);
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

function readFile(path: string): Rule[] {
    const file = basename(path);
    let tables: unknown;
    try {
        tables = parse(readFileSync(path, 'utf8'))['rule'];
    } catch (err) {
        throw new RuleError(file, 'file', `cannot be read: ${(err as Error).message.trim()}`);
    }
    if (!Array.isArray(tables)) {
        throw new RuleError(file, 'file', 'has no [[rule]]; remove it or add one');
    }
    return tables.map((table, index) => readRule(table as Table, file, index + 1));
}

function textOf(sample: string): ReplyText {
    return readReply({ code: 0, text: sample, stage: 'none' });
}

/**
 * Every sample must be decided by its own rule. Only a rule of an earlier directory may take it over: that is how an
 * operator overrules a rule of the package.
 */
function proveSamples(rule: Rule, set: RuleSet, packageOf: ReadonlyMap<Rule, number>): void {
    for (const sample of rule.samples) {
        const text = textOf(sample);
        const provider = rule.providers[0];
        if (!matches(rule, text, provider)) {
            throw new RuleError(rule.file, rule.id, `does not match its own sample "${sample}"; mend the pattern or the sample`);
        }
        const winner = findRule(set, text, provider);
        if (winner && winner !== rule && packageOf.get(winner) === packageOf.get(rule)) {
            throw new RuleError(
                rule.file,
                rule.id,
                `its sample "${sample}" is taken by rule ${winner.id} (${winner.file}); narrow that one or move this one before it`
            );
        }
    }
    for (const nearMiss of rule.nearMisses) {
        if (matches(rule, textOf(nearMiss), rule.providers[0])) {
            throw new RuleError(rule.file, rule.id, `matches its near-miss "${nearMiss}"; narrow the pattern`);
        }
    }
}

/**
 * Loads all rules of the given directories, the operator's before the package's. Within a directory files are read by
 * name and rules in the order of the file; that order is the order in which they are asked.
 *
 * @throws RuleError at the first fault; nothing of a faulty set is used.
 */
export function loadRules(dirs: readonly string[]): RuleSet {
    const rules: Rule[] = [];
    const packageOf = new Map<Rule, number>();
    const seen = new Map<string, Rule>();
    dirs.forEach((dir, index) => {
        const names = readdirSync(dir).filter(name => name.endsWith('.toml')).sort();
        for (const rule of names.flatMap(name => readFile(join(dir, name)))) {
            const twin = seen.get(rule.id);
            if (twin) {
                throw new RuleError(rule.file, rule.id, `the id is used in ${twin.file} already; choose another`);
            }
            seen.set(rule.id, rule);
            packageOf.set(rule, index);
            rules.push(rule);
        }
    });
    const set = { rules };
    for (const rule of rules) {
        proveSamples(rule, set, packageOf);
    }
    return set;
}

/**
 * The rules that come with the package. Looked for upwards from this file, since it runs from lib/ in tests and from
 * dist/lib/ when installed.
 */
export function packageRulesDir(): string {
    let dir = __dirname;
    while (!existsSync(join(dir, 'package.json'))) {
        const parent = dirname(dir);
        if (parent === dir) {
            throw new Error(`no package.json above ${__dirname}; the package is incomplete`);
        }
        dir = parent;
    }
    return join(dir, 'config', 'rules');
}
