#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A repository of what is in the current folder.
set -eu
git init -q -b main .
git add .
git -c user.name=molecule -c user.email=molecule@example.com commit -qm first
