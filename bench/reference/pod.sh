# A pod's network by ip(8) and nft(8): the same design as podnet's, as a person would script it who knows the tools' batch modes.
#
#   pod.sh node                          once
#   pod.sh add NUMBER FIRST_PORT PORTS
#   pod.sh remove NUMBER FIRST_PORT PORTS
set -e
action=$1 number=$2 first=$3 ports=$4
high=$(((number + 2) / 256)) low=$(((number + 2) % 256))
four=10.64.$high.$low
six=fd00:64::$(printf %x $((number + 2)))
netns=script-pod$number

elements() {
  p=0
  while [ $p -lt "$ports" ]; do
    echo "$1 element inet pods ports4 { tcp . $((first + p)) : $four . $((80 + p)) }"
    echo "$1 element inet pods ports6 { tcp . $((first + p)) : $six . $((80 + p)) }"
    p=$((p + 1))
  done
  echo "$1 element inet pods hairpin4 { $four . $four }"
  echo "$1 element inet pods hairpin6 { $six . $six }"
}

case $action in
node)
  echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
  ip link set lo up
  ip address add 10.64.0.1/32 dev lo
  ip address add fd00:64::1/128 dev lo nodad
  nft -f - <<END
table inet pods {
  map ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
  set hairpin4 { type ipv4_addr . ipv4_addr; }
  set hairpin6 { type ipv6_addr . ipv6_addr; }
  chain to_pods {
    dnat ip to meta l4proto . th dport map @ports4
    dnat ip6 to meta l4proto . th dport map @ports6
  }
  chain prerouting { type nat hook prerouting priority dstnat; fib daddr type local goto to_pods; }
  chain output { type nat hook output priority -100; fib daddr type local goto to_pods; }
  chain postrouting {
    type nat hook postrouting priority srcnat
    ip saddr . ip daddr @hairpin4 masquerade
    ip6 saddr . ip6 daddr @hairpin6 masquerade
  }
}
END
  ;;
add)
  ip netns add $netns
  ip -batch - <<END
link add pod$number address ee:ee:ee:ee:ee:ee numtxqueues 1 numrxqueues 1 type veth peer name eth0 netns $netns numtxqueues 1 numrxqueues 1
link set pod$number addrgenmode none
link set pod$number up
route add $four dev pod$number
route add $six dev pod$number
END
  ip -n $netns -batch - <<END
link set lo up
link set eth0 addrgenmode none
link set eth0 up
address add $four/32 dev eth0
address add $six/128 dev eth0 nodad
neighbour add 10.64.0.1 lladdr ee:ee:ee:ee:ee:ee nud permanent dev eth0
neighbour add fd00:64::1 lladdr ee:ee:ee:ee:ee:ee nud permanent dev eth0
route add default via 10.64.0.1 dev eth0 onlink
route add default via fd00:64::1 dev eth0 onlink
END
  elements add | nft -f -
  ;;
remove)
  elements delete | sed 's/ : [^}]*}/ }/' | nft -f -
  ip -batch - <<END
route del $four dev pod$number
route del $six dev pod$number
END
  ip netns del $netns
  ;;
esac
