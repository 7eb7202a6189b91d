#!/bin/sh
# load-image
true
