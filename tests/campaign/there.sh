#!/bin/sh
# Whether the effect of a node is there: 0 yes, 1 no.
#
# usage: there.sh OPERATION NODE
test -e "$HOME/markers/$1/$2"
