#!/bin/sh
# apt-proxy
true
