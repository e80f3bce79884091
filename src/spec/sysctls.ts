/**
 * Which sysctls a pod may have.
 * @module
 */

/**
 * Sysctls that belong to the network namespace and affect nothing outside it: Kubernetes' safe list
 * (pkg/kubelet/sysctl/safe_sysctls.go) as far as it is about networking.
 */
const SAFE: ReadonlySet<string> = new Set([
  "net.ipv4.ip_local_port_range",
  "net.ipv4.ip_local_reserved_ports",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.ping_group_range",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_rmem",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.tcp_wmem",
]);

/**
 * Sysctls of the whole machine: a new network namespace does not show them, or shows them read-only. Found by comparing
 * /proc/sys/net of the first and of a new namespace on Linux 6.18.
 */
const OF_THE_MACHINE: Readonly<Record<string, string>> = {
  "net": "nf_conntrack_max",
  "net.core":
    "bpf_jit_enable bpf_jit_harden bpf_jit_kallsyms bpf_jit_limit busy_poll busy_read default_qdisc dev_weight dev_weight_rx_bias dev_weight_tx_bias devconf_inherit_init_net fb_tunnels_only_for_init_net flow_limit_cpu_bitmap flow_limit_table_len gro_normal_batch high_order_alloc_disable max_skb_frags mem_pcpu_rsv message_burst message_cost netdev_budget netdev_budget_usecs netdev_max_backlog netdev_rss_key netdev_tstamp_prequeue netdev_unregister_timeout_secs rmem_default rmem_max rps_sock_flow_entries skb_defer_max warnings wmem_default wmem_max",
  "net.ipv4":
    "cipso_cache_bucket_size cipso_cache_enable cipso_rbm_optfmt cipso_rbm_strictvalid fib_sync_mem inet_peer_maxttl inet_peer_minttl inet_peer_threshold ipfrag_secret_interval tcp_allowed_congestion_control tcp_available_congestion_control tcp_available_ulp tcp_ehash_entries tcp_low_latency tcp_max_orphans tcp_mem udp_hash_entries udp_mem",
  "net.ipv4.route":
    "error_burst error_cost gc_elasticity gc_interval gc_min_interval gc_min_interval_ms gc_thresh gc_timeout max_size redirect_load redirect_number redirect_silence",
  "net.ipv6":
    "calipso_cache_bucket_size calipso_cache_enable ip6frag_secret_interval mld_max_msf mld_qrv",
  "net.mptcp": "available_path_managers available_schedulers",
  "net.netfilter":
    "nf_conntrack_buckets nf_conntrack_count nf_conntrack_expect_max nf_conntrack_max nf_log_all_netns",
  "net.sctp": "sctp_mem sctp_rmem sctp_wmem",
};

/** The sysctls that no pod can have, in dotted names. */
export function sysctlsOfTheMachine(): string[] {
  return Object.entries(OF_THE_MACHINE).flatMap(([prefix, names]) =>
    names.split(" ").map((name) => `${prefix}.${name}`)
  );
}

/** Whether a pod may have the sysctl without being asked for it by name in `unsafeSysctls`. */
export function isSafeSysctl(name: string): boolean {
  return SAFE.has(name);
}

/** Why no pod may have the sysctl at all, or undefined. */
export function sysctlProblem(name: string): string | undefined {
  if (/^(?:kernel\.(?:shm|msg|sem)|fs\.mqueue)/.test(name)) {
    return "belongs to the IPC namespace, which podnet does not make: set it through the container runtime";
  }
  // A slash stands for a dot in an interface's name; a word of slashes alone would lead elsewhere.
  if (!/^net(?:\.(?!\/+(?:\.|$))[A-Za-z0-9_/-]+)+$/.test(name)) {
    return 'is not a sysctl of the network: write a dotted name that begins with "net."';
  }
  const dot = name.lastIndexOf(".");
  const ofTheMachine = OF_THE_MACHINE[name.slice(0, dot)]?.split(" ");
  return ofTheMachine?.includes(name.slice(dot + 1))
    ? "holds for the whole machine, not for one network namespace: set it on the node, if at all"
    : undefined;
}
