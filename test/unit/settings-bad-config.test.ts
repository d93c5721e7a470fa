/** Wrong configurations, each with the messages that its operator reads: test/bad-config/NN-name.toml and .txt. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { parseSettings, type HostZones } from '../../lib/settings/parse';

const FOLDER = join(__dirname, '../bad-config');
const CASES = readdirSync(FOLDER)
    .filter(name => name.endsWith('.toml'))
    .map(name => name.replace(/\.toml$/, ''));

describe('a wrong configuration', () => {
    it.each(CASES)('%s', name => {
        const config: unknown = parse(readFileSync(join(FOLDER, `${name}.toml`), 'utf8'));
        const { plugins, zones, pools } = config as HostZones & { plugins: Record<string, unknown> };
        const { settings, faults } = parseSettings(plugins, { zones, pools });
        expect(faults.map(fault => `${fault.message}\n`).join('')).toBe(readFileSync(join(FOLDER, `${name}.txt`), 'utf8'));
        expect(settings).toBeUndefined();
        for (const fault of faults) {
            expect(fault.found.length).toBeLessThanOrEqual(60);
            expect(JSON.stringify(fault)).not.toMatch(/hunter2|horse/);
            expect(fault.allowed).not.toBe('');
        }
    });
});
