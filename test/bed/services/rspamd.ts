import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, serviceOf, startChild, untilReady, type Service } from './process';

export interface RspamdOptions {
    readonly host: string;
    /** The world's folder. */
    readonly dir: string;
    /** Several instances share a host: 11333, 11334, ... */
    readonly port?: number;
    /** `address:port` of a loopback DNS server; without one every look-up fails, and none leaves this machine. */
    readonly nameserver?: string;
    /** `address:port` of Redis. */
    readonly redis?: string;
    /** `address:port` of clamd. */
    readonly clamd?: string;
    /** Signs mail from this domain. */
    readonly sign?: { readonly domain: string; readonly selector: string; readonly keyFile: string };
}

/**
 * A real rspamd: its scanner, its protocol, its antivirus and milter-header modules. The verdicts are the mail's choice:
 * GTUBE and its siblings for reject, add header, rewrite subject and no action; EICAR for a virus; a header
 * `X-Bed-Soft-Reject: text` for a soft reject with that text. Debian's hundreds of rules are left out: they take ten
 * seconds of both cores to compile, ask services on the internet, and change their minds from release to release.
 */
export async function startRspamd(options: RspamdOptions): Promise<Service & { readonly url: string }> {
    const { host, dir, port = 11333 } = options;
    const home = join(dir, `rspamd-${port}`);
    mkdirSync(home, { recursive: true });
    const config = join(home, 'rspamd.conf');
    writeFileSync(config, configOf(home, { ...options, port }));
    writeFileSync(join(home, 'bed.lua'), rules);
    // The public list has ten thousand suffixes, which take ten seconds to compile.
    writeFileSync(join(home, 'tlds.txt'), 'com\nexample\nnet\norg\ntest\n');

    const child = startChild({
        name: `rspamd:${port}`,
        command: 'rspamd',
        // As root it wants to be told that staying root is meant.
        args: ['--no-fork', `--config=${config}`, ...(process.getuid?.() === 0 ? ['--insecure'] : [])],
        cwd: home,
        logFile: join(home, 'rspamd.log'),
        grace: 3_000
    });
    await untilReady(child, () => ask(host, port, 'GET /ping HTTP/1.0\r\n\r\n', reply => reply.includes('pong')));
    return { ...serviceOf(child, host, port), url: `http://${host}:${port}` };
}

function configOf(home: string, { host, port, nameserver = '127.0.0.1:9', redis, clamd, sign }: RspamdOptions): string {
    const parts = [
        `options {
    filters = "${sign ? 'dkim' : ''}";
    tempdir = "${home}";
    pidfile = "${home}/rspamd.pid";
    control_socket = "${home}/control.sock mode=0600";
    cache_file = "${home}/symbols.cache";
    hs_cache_dir = "${home}/";
    history_rows = 10;
    url_tld = "${home}/tlds.txt";
    dns { nameserver = ["${nameserver}"]; timeout = 1s; retransmits = 1; }
    disable_hyperscan = true;
    enable_test_patterns = true;
    task_timeout = 8s;
}`,
        'logging { type = "console"; level = "notice"; color = false; }',
        `worker "normal" { bind_socket = "${host}:${port}"; count = 1; }`,
        'modules { path = "/usr/share/rspamd/plugins/"; }',
        `lua = "${home}/bed.lua";`,
        'actions { reject = 15; add_header = 6; greylist = 4; }',
        'milter_headers { use = ["x-spamd-result", "x-rspamd-server", "x-rspamd-action"]; extended_spam_headers = true; skip_local = false; skip_authenticated = false; }'
    ];
    if (sign) {
        parts.push(`dkim_signing {
    sign_local = true; sign_authenticated = true; allow_hdrfrom_mismatch = true; allow_username_mismatch = true; allow_envfrom_empty = true;
    use_domain = "header"; try_fallback = false; check_pubkey = false;
    domain { "${sign.domain}" { selector = "${sign.selector}"; path = "${sign.keyFile}"; } }
}`);
    }
    if (redis) parts.push(`redis { servers = "${redis}"; }`);
    if (clamd) {
        parts.push(`antivirus {
    clamav {
        type = "clamav"; symbol = "CLAM_VIRUS"; action = "reject"; servers = "${clamd}";
        scan_mime_parts = false; timeout = 5s; retransmits = 1;
    }
}`);
    }
    return `${parts.join('\n')}\n`;
}

/** The one verdict for which rspamd has no test pattern. */
const rules = `rspamd_config:register_symbol({
  name = 'BED_SOFT_REJECT',
  type = 'prefilter',
  callback = function(task)
    local text = task:get_header('X-Bed-Soft-Reject')
    if text then task:set_pre_result('soft reject', text, 'bed') end
  end
})
`;
