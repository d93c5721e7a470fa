/** The ZoneMTA folder that a command looks at. */
import { fork } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UsageError } from './command';
import type { HostConfiguration } from './read-host-config';

/** Where a ZoneMTA keeps the file that it is started with. */
const USUAL = ['config/zonemta.toml', 'config/zone-mta.toml', 'zonemta.toml', 'zone-mta.toml'];

/**
 * @param config as given with --config
 * @throws UsageError when there is no such folder or file
 */
export function hostFolder(command: string, positionals: readonly string[], config: string | undefined): { folder: string; file: string } {
    const folder = resolve(positionals[0] ?? '.');
    if (positionals.length > 1 || !existsSync(folder) || !statSync(folder).isDirectory()) {
        throw new UsageError(`${command} wants one folder, that of ZoneMTA with its node_modules`);
    }
    const file = config === undefined ? USUAL.map(name => join(folder, name)).find(path => existsSync(path)) : resolve(config);
    if (file === undefined || !existsSync(file)) {
        throw new UsageError(`no configuration file ${config ?? `of these in ${folder}: ${USUAL.join(', ')}`}; name it with --config`);
    }
    return { folder, file };
}

/** Reads the configuration in a child, in ZoneMTA's folder. @throws Error with what the host said when it could not be read */
export function readHost(folder: string, file: string): Promise<HostConfiguration> {
    return new Promise((fulfil, reject) => {
        const child = fork(join(__dirname, 'read-host-config.js'), [`--config=${file}`], { cwd: folder, silent: true });
        let said = '';
        let config: HostConfiguration | undefined;
        for (const output of [child.stdout, child.stderr]) {
            output?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2000)));
        }
        child.on('message', (message: HostConfiguration) => (config = message));
        child.on('error', reject);
        child.on('close', () => (config ? fulfil(config) : reject(new Error(`${file} could not be read: ${said.trim() || 'ZoneMTA gave no reason'}`))));
    });
}
