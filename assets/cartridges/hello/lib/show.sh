# Read by tour.sh: how a title and a row look.
title() { printf '\n\033[1;34m %s\033[0m\n' "$1"; }
row() { printf '   \033[0;37m%-15s\033[1;37m%s\033[0m\n' "$1" "$2"; }
