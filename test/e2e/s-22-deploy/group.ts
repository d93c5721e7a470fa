/** A filter group out of the files in deploy/rspamd: the test's own paths and addresses, nothing else is changed. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, serviceOf, startChild, untilReady, type Service } from '../../bed/services/process';
import { startPostfix, type PostfixService } from '../../bed/services/postfix';
import type { World } from '../../bed/world';

const DEPLOY = join(__dirname, '../../../deploy/rspamd');
const SCAN_PORT = 11333;
const NGINX_PORT = 11330;
export const CONTROLLER_PORT = 11334;

/** 10.20.0.`n` of the files. */
export function addressOf(k: number, n: number): string {
    return `127.${k}.20.${n}`;
}

/** What ZoneMTA is told of the group. */
export function balancerUrl(k: number): string {
    return `http://${addressOf(k, 10)}:${NGINX_PORT}`;
}

/** One of the group's rspamd, 11 to 13. */
export async function startFilter(world: World, n: number): Promise<Service> {
    const host = addressOf(world.k, n);
    const home = join(world.dir, `filter-${n}`);
    const folders = { LOCAL_CONFDIR: join(home, 'etc'), DBDIR: join(home, 'db'), RUNDIR: join(home, 'run'), LOGDIR: join(home, 'log') };
    for (const folder of Object.values(folders)) {
        mkdirSync(folder, { recursive: true });
    }
    const local = join(folders.LOCAL_CONFDIR, 'local.d');
    cpSync(join(DEPLOY, 'local.d'), local, { recursive: true });
    for (const name of readdirSync(local)) {
        const text = readFileSync(join(local, name), 'utf8');
        // a server binds to its own address, and lists all of them as upstreams
        writeFileSync(join(local, name), moved(world, host, text.replace(/^(bind_socket = ")10\.20\.0\.11(?=:)/m, `$110.20.0.${n}`)));
    }
    overrideDebian(folders.LOCAL_CONFDIR, home, world.k);
    const child = startChild({
        name: `filter-${n}`,
        command: 'rspamd',
        args: ['--no-fork', '--config=/etc/rspamd/rspamd.conf', ...Object.entries(folders).map(([name, path]) => `--var=${name}=${path}`), ...(process.getuid?.() === 0 ? ['--insecure'] : [])],
        cwd: home,
        logFile: join(home, 'out.log'),
        grace: 3000
    });
    // hundreds of rules are compiled first
    await untilReady(child, () => Promise.all([SCAN_PORT, CONTROLLER_PORT].map(port => ask(host, port, 'GET /ping HTTP/1.0\r\n\r\n', reply => reply.includes('pong')))), 60_000);
    return serviceOf(child, host, SCAN_PORT);
}

/** Debian's own files have a path and a server too: ten thousand suffixes to compile, and hashes that would leave this machine. */
function overrideDebian(etc: string, home: string, k: number): void {
    const folder = join(etc, 'override.d');
    mkdirSync(folder);
    writeFileSync(join(home, 'tlds.txt'), 'com\nexample\nnet\norg\ntest\n');
    writeFileSync(join(folder, 'options.inc'), `url_tld = "${join(home, 'tlds.txt')}";\n`);
    writeFileSync(join(folder, 'fuzzy_check.conf'), `rule "rspamd.com" { servers = "${addressOf(k, 99)}:11335"; }\n`);
}

/** The balancer, tested with `nginx -t` before it is started. */
export async function startBalancer(world: World, test: (args: string[]) => void): Promise<Service> {
    const home = join(world.dir, 'nginx');
    mkdirSync(home, { recursive: true });
    const group = join(home, 'filter-group.conf');
    writeFileSync(group, moved(world, '', readFileSync(join(DEPLOY, 'nginx/filter-group.conf'), 'utf8')));
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${join(home, name)};`);
    const config = join(home, 'nginx.conf');
    writeFileSync(config, `daemon off; user root; pid ${join(home, 'nginx.pid')}; error_log stderr; events {} http { access_log off; ${temporary.join(' ')} include ${group}; }\n`);
    const args = ['-c', config, '-e', 'stderr'];
    test(['-t', '-q', ...args]);
    const child = startChild({ name: 'nginx', command: 'nginx', args, logFile: join(home, 'nginx.log') });
    const host = addressOf(world.k, 10);
    await untilReady(child, () => ask(host, NGINX_PORT, 'GET /ping HTTP/1.0\r\n\r\n', reply => reply.includes('pong')));
    return serviceOf(child, host, NGINX_PORT);
}

/** The Postfix that takes mail from outside for the mailboxes, with the milter of deploy/rspamd/postfix/main.cf. */
export function startInbound(world: World, domain: string): Promise<PostfixService> {
    const lines = readFileSync(join(DEPLOY, 'postfix/main.cf'), 'utf8').matchAll(/^(\w+) = (.*)$/gm);
    const settings = Object.fromEntries([...lines].map(([, name = '', value = '']) => [name, moved(world, '', value)]));
    const sink = { host: world.sink.address, port: world.sink.port };
    return startPostfix({ host: addressOf(world.k, 30), dir: world.dir, name: 'inbound', relayhost: `[${sink.host}]:${sink.port}`, senderDomain: domain, sink, settings });
}

/** A file of deploy/ with the world's addresses; `self` is where its server's loopback is. */
function moved({ k, host, dir, dns }: World, self: string, text: string): string {
    return text
        .replaceAll('10.20.0.20:6379', `${host}:6379`)
        .replaceAll('127.0.0.1:3310', `${host}:3310`)
        .replaceAll('127.0.0.1:53', `${dns.address}:5355`)
        .replace(/127\.0\.0\.1:(1133\d)/g, `${self}:$1`)
        .replaceAll('/var/lib/rspamd/dkim', join(dir, 'dkim'))
        // the submitting servers' network, and that this machine is not one of the operator's own
        .replaceAll('127.0.0.0/8, ::1', '::1')
        .replaceAll('10.20.1.0/24', '127.0.0.0/8')
        .replaceAll('10.20.0.', `127.${k}.20.`);
}

