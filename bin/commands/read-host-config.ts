/**
 * Run as a child in ZoneMTA's folder: reads the configuration with the host's own wild-config, as ZoneMTA does, and sends
 * what the checks need. wild-config reads the command line when it is required, and ends the process on an error.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const HOSTS = ['@zone-eu/zone-mta', 'zone-mta'];
const CONFIGS = ['@zone-eu/wild-config', 'wild-config'];

/** What comes over the channel. */
export interface HostConfiguration {
    plugins?: Record<string, unknown>;
    zones?: Record<string, unknown>;
    pools?: Record<string, unknown>;
    nameservers?: string | string[] | false;
}

function firstOf<T>(names: readonly string[], load: (name: string) => T): T | undefined {
    for (const name of names) {
        try {
            return load(name);
        } catch {
            // the other release has the other name
        }
    }
    return undefined;
}

if (process.send) {
    const here = createRequire(join(process.cwd(), 'package.json'));
    const app = firstOf(HOSTS, name => dirname(here.resolve(`${name}/package.json`))) ?? process.cwd();
    process.env['NODE_CONFIG_DIR'] = join(app, 'config');
    const host = createRequire(join(app, 'app.js'));
    const config = firstOf(CONFIGS, name => host(name) as HostConfiguration);
    if (!config) {
        process.stderr.write(`no ZoneMTA is installed in ${process.cwd()}\n`);
        process.exit(1);
    }
    const { plugins = {}, zones = {}, pools = {}, nameservers = false } = config;
    process.send({ plugins, zones, pools, nameservers } satisfies HostConfiguration, () => process.exit(0));
}
