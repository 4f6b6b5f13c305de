#!/bin/sh
# The first process of the container: runs a command, and ends it when Cartridge goes.
#
#   inside.sh LOCK COMMAND [ARGUMENT…]
#
# Cartridge holds LOCK for as long as it lives and wants the command to run. Whoever gets the lock knows that it does
# not.
lock=$1
shift
# Lines keep their order.
exec 2>&1
flock --shared "$lock" sh -c 'kill -s KILL -- -1' &
"$@" &
wait $!
exit $?
