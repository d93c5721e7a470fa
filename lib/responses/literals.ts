/**
 * Which words must a text contain so that a regular expression can match? Asked once per rule when rules are loaded, so
 * that a reply needs to be compared only with the few rules whose words it has (./index).
 *
 * Knows the part of the syntax that rules use. Whatever it does not know it takes for "may match anything", which costs time
 * and never an answer.
 */

/** Any one of these occurs in every text that matches. */
export type OneOf = readonly string[];

interface Part {
    /** The fixed text that this part stands for; undefined when it is not fixed. */
    text: string | undefined;
    /** What a match of this part must contain besides: each entry is a choice. */
    needs: OneOf[];
}

const NOTHING: Part = { text: '', needs: [] };
const ANYTHING: Part = { text: undefined, needs: [] };
const MAX_CHOICES = 96;
const QUANTIFIER = /[*+?]\??|\{(\d+)(?:,\d*)?\}\??/y;

class Parser {
    private at = 0;

    constructor(private readonly source: string) {}

    /** The alternatives of the whole expression: where each one stands in the source, and what it needs. */
    branches(): { source: string; needs: OneOf[] }[] {
        const found: { source: string; needs: OneOf[] }[] = [];
        for (;;) {
            const start = this.at;
            const needs = this.sequence();
            found.push({ source: this.source.slice(start, this.at), needs });
            if (this.source[this.at] !== '|') {
                break;
            }
            this.at += 1;
        }
        if (this.at < this.source.length) {
            throw new SyntaxError('unbalanced');
        }
        return found;
    }

    private sequence(): OneOf[] {
        const needs: OneOf[] = [];
        let run = '';
        const flush = (): void => {
            if (run !== '') {
                needs.push([run]);
            }
            run = '';
        };
        while (this.at < this.source.length && this.source[this.at] !== '|' && this.source[this.at] !== ')') {
            const part = this.part();
            const least = this.quantifier();
            if (least === 1 && part.text !== undefined) {
                run += part.text;
                needs.push(...part.needs);
                continue;
            }
            flush();
            if (least !== 0) {
                needs.push(...part.needs, ...(part.text ? [[part.text]] : []));
            }
        }
        flush();
        return needs;
    }

    /** How often the part before must occur: 1 when it occurs exactly once, 2 when more often is allowed, 0 when it may lack. */
    private quantifier(): 0 | 1 | 2 {
        QUANTIFIER.lastIndex = this.at;
        const found = QUANTIFIER.exec(this.source);
        if (!found) {
            return 1;
        }
        this.at = QUANTIFIER.lastIndex;
        const may = found[0].startsWith('*') || found[0].startsWith('?') || found[1] === '0';
        return may ? 0 : 2;
    }

    private part(): Part {
        const char = this.source[this.at] ?? '';
        this.at += 1;
        if (char === '(') {
            return this.group();
        }
        if (char === '[') {
            return this.characters();
        }
        if (char === '\\') {
            const escaped = this.source[this.at] ?? '';
            this.at += 1;
            return /[bB]/.test(escaped) ? NOTHING : /[a-z0-9]/i.test(escaped) ? ANYTHING : { text: escaped, needs: [] };
        }
        return char === '.' ? ANYTHING : char === '^' || char === '$' ? NOTHING : { text: char, needs: [] };
    }

    private characters(): Part {
        while (this.at < this.source.length && this.source[this.at] !== ']') {
            this.at += this.source[this.at] === '\\' ? 2 : 1;
        }
        this.at += 1;
        return ANYTHING;
    }

    private group(): Part {
        const opening = /\?(?:[:=!]|<[=!])/y;
        opening.lastIndex = this.at;
        const kind = opening.exec(this.source)?.[0];
        this.at += kind?.length ?? 0;
        const choices: OneOf[][] = [];
        do {
            choices.push(this.sequence());
        } while (this.source[this.at++] === '|');
        if (this.source[this.at - 1] !== ')') {
            throw new SyntaxError('unbalanced');
        }
        if (kind === '?!' || kind === '?<!' || kind === '?<=') {
            return NOTHING;
        }
        const best = choices.map(mostTelling);
        const all = best.every(choice => choice !== undefined) ? best.flat() : [];
        const needs = all.length > 0 && all.length <= MAX_CHOICES ? [all] : [];
        return kind === '?=' ? { text: '', needs } : { text: undefined, needs };
    }
}

/** The choice whose shortest word is the longest. */
function mostTelling(needs: readonly OneOf[]): OneOf | undefined {
    const shortest = (choice: OneOf): number => Math.min(...choice.map(word => word.length));
    return needs.reduce<OneOf | undefined>((best, choice) => (best === undefined || shortest(choice) > shortest(best) ? choice : best), undefined);
}

/** An expression as its alternatives, each with the choices of words that it needs. Needs are empty where they are not known. */
export function branchesOf(expression: RegExp): { expression: RegExp; needs: OneOf[] }[] {
    try {
        return new Parser(expression.source).branches().map(({ source, needs }) => ({ expression: new RegExp(source), needs }));
    } catch {
        return [{ expression, needs: [] }];
    }
}
