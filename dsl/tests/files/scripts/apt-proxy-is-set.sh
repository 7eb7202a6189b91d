#!/bin/sh
# apt-proxy-is-set
true
