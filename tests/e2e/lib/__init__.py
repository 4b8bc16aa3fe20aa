# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests drive: the real programs, as processes, in one temporary folder per test."""
