/** What the documents list is what the code has, and their links lead somewhere. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { REPLY_CLASSES } from '../../lib/delivery/types';
import { LOG_CODES } from '../../lib/process/log';

const ROOT = join(__dirname, '../..');

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

describe('docs/log-codes.md', () => {
    it('lists every code once, in the order of the code', () => {
        const listed = [...read('docs/log-codes.md').matchAll(/^\| `([A-Z_]+)` \|/gm)].map(match => match[1]);
        expect(listed).toEqual(Object.keys(LOG_CODES));
    });
});

describe('docs/architecture.md', () => {
    const section = /^## What a refusal means\n(.*?)^At the relay:/ms.exec(read('docs/architecture.md'))?.[1] ?? '';
    const inRows = (text: string) => [...text.matchAll(/^\| `([a-z-]+)`/gm)].map(match => match[1] ?? '');

    it('names every class of replies: in a row of the policy table, or among all others', () => {
        const others = /^All others are (.*?)\. /ms.exec(section)?.[1] ?? '';
        const named = [...inRows(section), ...[...others.matchAll(/`([a-z-]+)`/g)].map(match => match[1] ?? '')];
        expect([...new Set(named)].sort()).toEqual([...REPLY_CLASSES].sort());
    });

    it('has the rows of the table in the header of lib/policy/decide.ts', () => {
        const header = [...read('lib/policy/decide.ts').matchAll(/^ \* \| ([a-z-]+)(?= )/gm)].map(match => match[1]);
        expect([...inRows(section), 'all']).toEqual(header.filter(name => name !== 'class'));
    });

    it('has the floors of the house in the order that the linter holds', () => {
        const [, rooms = ''] = /const ROOMS = \[\n(.*?)\n\];/s.exec(read('eslint.config.mjs')) ?? [];
        const floors = rooms.split('\n').map(line => [...line.matchAll(/'([^']+)'/g)].map(match => match[1]));
        const listed = [...read('docs/architecture.md').matchAll(/^\| \d+ \| (`(?:lib\/|plugins|bin).*?) \|/gm)].map(match => [...(match[1] ?? '').matchAll(/`([^`]+)`/g)].map(room => room[1]));
        expect(listed).toEqual(floors);
    });
});

describe('Markdown', () => {
    const skipped = ['node_modules', '.git', '.build', 'dist'];
    const files = readdirSync(ROOT, { withFileTypes: true })
        .filter(entry => !skipped.includes(entry.name))
        .flatMap(entry => (entry.isDirectory() ? below(entry.name) : [entry.name]))
        .filter(path => path.endsWith('.md'));

    it.each(files)('%s links to local files and headings that exist', file => {
        const broken = [...read(file).replace(/```.*?```/gs, '').matchAll(/\]\(([^)\s]+)\)/g)]
            .map(match => match[1] ?? '')
            .filter(link => !/^[a-z]+:/.test(link))
            .filter(link => {
                const [path = '', heading] = link.split('#');
                const target = path === '' ? file : relative(ROOT, join(ROOT, dirname(file), path));
                return !existsSync(join(ROOT, target)) || (heading !== undefined && !anchors(read(target)).includes(heading));
            });
        expect(broken).toEqual([]);
    });

    it('the documents that the README promises are there', () => {
        expect(files).toEqual(expect.arrayContaining(['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'docs/architecture.md', 'docs/decisions.md']));
    });

    function below(folder: string): string[] {
        return readdirSync(join(ROOT, folder), { withFileTypes: true })
            .filter(entry => !skipped.includes(entry.name))
            .flatMap(entry => (entry.isDirectory() ? below(join(folder, entry.name)) : [join(folder, entry.name)]));
    }
});

/** As code hosts make them: lower case, punctuation left out, blanks as dashes. */
function anchors(markdown: string): string[] {
    return [...markdown.matchAll(/^#+ (.+)$/gm)].map(match => (match[1] ?? '').toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').trim().replace(/\s/g, '-'));
}
