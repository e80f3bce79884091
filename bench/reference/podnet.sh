# podnet's command, one process for each operation. PODNET starts it, STATE is its state directory.
#
#   podnet.sh node                       once
#   podnet.sh add NUMBER FIRST_PORT PORTS
#   podnet.sh remove NUMBER FIRST_PORT PORTS
select="--node command --state-dir $STATE"
case $1 in
node) exec $PODNET node up $select --pod-cidr 10.64.0.0/10 --pod-cidr fd00:64::/64 ;;
add)
  case $4 in
  0) ports= ;;
  1) ports="-p $3:80" ;;
  *) ports="-p $3-$(($3 + $4 - 1)):80-$((79 + $4))" ;;
  esac
  exec $PODNET create $select pod$2 $ports ;;
remove) exec $PODNET rm $select pod$2 ;;
esac
